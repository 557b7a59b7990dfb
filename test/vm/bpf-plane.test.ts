/* The plane's cases of this kernel, on Debian's. */
import '../netns/bpf-plane.test.ts';
import '../netns/bpf-plane-many.test.ts';
