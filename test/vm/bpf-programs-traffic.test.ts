/* The cases of test/netns/bpf-programs.test.ts, on Debian's kernel. */
import '../netns/bpf-programs.test.ts';
