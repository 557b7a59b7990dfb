import { describe, expect, it } from 'vitest';
import { parseNftFailure } from '../../../src/core/nft/failure-text.ts';

// Texts that libnftables 1.0.6 put into its error buffer.
describe('parseNftFailure', () => {
  it('reads what the kernel refused, with the command', () => {
    const text =
      'Error: Could not process rule: No such file or directory\n' +
      'delete table ip t\n                ^\n';
    expect(parseNftFailure(text)).toEqual({
      errno: 'ENOENT',
      words: 'Could not process rule: No such file or directory | delete table ip t',
    });
  });

  it('reads what a JSON command met with', () => {
    const text = 'internal:0:0-0: Error: No such file or directory\n\n\n';
    expect(parseNftFailure(text)).toEqual({ errno: 'ENOENT', words: 'No such file or directory' });
  });

  it('reads what nft did not understand', () => {
    const text =
      'Error: syntax error, unexpected newline, expecting string\n' +
      'add nonsense\n            ^\n';
    expect(parseNftFailure(text)).toEqual({
      errno: 'EINVAL',
      words: 'syntax error, unexpected newline, expecting string | add nonsense',
    });
  });

  it('does not take a command for the reason', () => {
    const text = 'Error: syntax error\nadd table ip File exists\n          ^^^^\n';
    expect(parseNftFailure(text).errno).toBe('EINVAL');
  });

  it.each([
    ['File exists', 'EEXIST'],
    ['Operation not permitted', 'EPERM'],
    ['Device or resource busy', 'EBUSY'],
    ['Operation not supported', 'EOPNOTSUPP'],
  ])('names %s', (reason, errno) => {
    expect(parseNftFailure(`Error: Could not process rule: ${reason}\n`).errno).toBe(errno);
  });

  it('says so when there is no text', () => {
    expect(parseNftFailure('\n')).toEqual({ errno: 'EINVAL', words: 'nft gave no reason' });
  });
});
