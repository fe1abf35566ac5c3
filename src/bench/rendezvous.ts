/**
 * Where threads wait for each other, in shared words:
 *
 *   i32 ARRIVED   those that are here
 *   i32 ROUND     how often all were
 *   i32 ENOUGH    1: that was the last time
 */
const ARRIVED = 0;
const ROUND = 1;
const ENOUGH = 2;
export const RENDEZVOUS_BYTES = 3 * 4;

/** Looks at a word before the thread goes to sleep: who is awake goes on with the others, not microseconds later. */
const SPINS = 200_000;

/**
 * Waits until as many threads are here. Whoever comes last says whether they meet again, so that all go on equally often.
 * @param enough asked of the last alone
 * @returns whether they go on
 */
export function rendezvous(words: Int32Array, threads: number, enough: () => boolean): boolean {
  const round = Atomics.load(words, ROUND);
  if (Atomics.add(words, ARRIVED, 1) === threads - 1) {
    Atomics.store(words, ARRIVED, 0);
    if (enough()) Atomics.store(words, ENOUGH, 1);
    Atomics.add(words, ROUND, 1);
    Atomics.notify(words, ROUND);
  }
  for (let i = 0; i < SPINS; i++) if (Atomics.load(words, ROUND) !== round) break;
  while (Atomics.load(words, ROUND) === round) Atomics.wait(words, ROUND, round);
  return Atomics.load(words, ENOUGH) === 0;
}
