/** Virtual time. */
import { expect, test } from "vitest";
import { EventQueue } from "../../runtime/lab/queue.ts";

test("by time, and in the order asked for when times are equal", () => {
  const queue = new EventQueue();
  const order: string[] = [];
  const note = (name: string) => () => order.push(`${name}@${queue.now}`);
  queue.after(20, note("late"));
  queue.after(10, () => {
    note("first")();
    queue.after(0, note("now"));
    queue.after(10, note("later"));
  });
  queue.after(10, note("second"));
  queue.runUntil(15);
  expect(order).toEqual(["first@10", "second@10", "now@10"]);
  expect(queue.now).toBe(15);
  expect(queue.step(19)).toBe(false);
  while (queue.step());
  expect(order.slice(3)).toEqual(["late@20", "later@20"]);
});
