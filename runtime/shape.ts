/** Shapes of values that came from somewhere: a check throws a ShapeError with the path of what it did not find. */

export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

export type Check = (value: unknown, path: string) => void;

export const refuse = (path: string, expected: string, value: unknown): never => {
  const found = value === undefined ? "nothing" : (JSON.stringify(value)?.slice(0, 40) ?? typeof value);
  throw new ShapeError(`${path}: expected ${expected}, found ${found}`);
};

export const fits =
  (expected: string, test: (value: unknown) => boolean): Check =>
  (value, path) => {
    if (!test(value)) refuse(path, expected, value);
  };

export const text = fits("a string", (value) => typeof value === "string");
export const flag = fits("true or false", (value) => typeof value === "boolean");
export const whole = (low: number, high: number): Check =>
  fits(
    `a whole number from ${low} to ${high}`,
    (value) => Number.isInteger(value) && (value as number) >= low && (value as number) <= high,
  );
export const U32 = 0xffffffff;
export const u32 = whole(0, U32);
export const oneOf = (...choices: readonly unknown[]): Check =>
  fits(`one of ${choices.join(", ")}`, (value) => choices.includes(value));
export const matching = (expected: string, pattern: RegExp): Check =>
  fits(expected, (value) => typeof value === "string" && pattern.test(value));

export const nullOr =
  (check: Check): Check =>
  (value, path) => {
    if (value !== null) check(value, path);
  };
export const optional =
  (check: Check): Check =>
  (value, path) => {
    if (value !== undefined) check(value, path);
  };
export const list =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) return refuse(path, "a list", value);
    for (const [i, item] of value.entries()) check(item, `${path}[${i}]`);
  };
export const pair: Check = (value, path) => {
  list(u32)(value, path);
  if ((value as unknown[]).length !== 2) refuse(path, "two numbers", value);
};
/** Fields that are not named are let be: a later minor version may add some. */
export const record =
  <T>(fields: Readonly<Record<keyof T & string, Check>>): Check =>
  (value, path) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(path, "an object", value);
    for (const [name, check] of Object.entries<Check>(fields))
      check((value as Readonly<Record<string, unknown>>)[name], `${path}.${name}`);
  };
