// A reporter for vitest that says which file, hook or test begins or ends, in lines that the suites' watchdog reads.
import path from 'node:path';
import process from 'node:process';
import { PROGRESS_MARK } from './watchdog.mjs';

const say = (module, what) =>
  process.stdout.write(`${PROGRESS_MARK}${path.relative(process.cwd(), module.moduleId)}${what}\n`);

const entityName = (entity) => ('fullName' in entity ? ` > ${entity.fullName}` : '');
const moduleOf = (entity) => entity.module ?? entity;

export default class ProgressReporter {
  onTestModuleStart(module) {
    say(module, '');
  }
  onTestCaseReady(test) {
    say(test.module, ` > ${test.fullName}`);
  }
  onTestCaseResult(test) {
    say(test.module, ` > after ${test.fullName}`);
  }
  onHookStart({ name, entity }) {
    say(moduleOf(entity), `${entityName(entity)} (${name})`);
  }
  onHookEnd({ name, entity }) {
    say(moduleOf(entity), `${entityName(entity)} (after ${name})`);
  }
}
