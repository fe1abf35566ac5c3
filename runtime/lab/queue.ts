/**
 * Virtual time: actions run in the order of their time, and those of one time in the order in which they were asked for.
 * Nothing here reads a real clock, so a run is the same every time.
 */
import type { Clock } from "../host/events.ts";

interface Scheduled {
  readonly time: number;
  readonly action: () => void;
}

export class EventQueue implements Clock {
  /** Microseconds. */
  now = 0;
  /** Ascending in time; equal times in the order of `after`. */
  readonly #scheduled: Scheduled[] = [];

  after(delay: number, action: () => void): void {
    const time = this.now + delay;
    let at = this.#scheduled.length;
    while (at > 0 && this.#scheduled[at - 1].time > time) at--;
    this.#scheduled.splice(at, 0, { time, action });
  }

  /** Runs the next action, if its time is not after `until`. @returns false when there was none */
  step(until = Number.POSITIVE_INFINITY): boolean {
    const next = this.#scheduled[0];
    if (next === undefined || next.time > until) return false;
    this.#scheduled.shift();
    this.now = next.time;
    next.action();
    return true;
  }

  /** Runs everything up to `until`, which is the time afterwards. */
  runUntil(until: number): void {
    while (this.step(until));
    this.now = Math.max(this.now, until);
  }
}
