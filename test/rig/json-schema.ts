import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import { expect } from 'vitest';

function validatorOf(name: 'show' | 'events') {
  const schema = JSON.parse(readFileSync(`docs/schema/${name}.schema.json`, 'utf8')) as object;
  return new Ajv({ allErrors: true, allowUnionTypes: true }).compile(schema);
}

const VALIDATORS = { show: validatorOf('show'), events: validatorOf('events') };

/** What a command has printed is as its published schema says; parsed. */
export function expectBySchema(name: 'show' | 'events', text: string): unknown {
  const value: unknown = JSON.parse(text);
  const validate = VALIDATORS[name];
  validate(value);
  expect(validate.errors ?? []).toEqual([]);
  return value;
}
