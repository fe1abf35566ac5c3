/** Why a change of a loaded network is refused: nothing has changed then. */
import { Errno, nameOf } from "./verdict.ts";

export class Refusal extends Error {
  readonly errno: Errno;

  /** @param message as iproute2 prints the kernel's refusal, or what this host cannot do */
  constructor(errno: Errno, message: string) {
    super(message);
    this.errno = errno;
  }

  /** "EEXIST" */
  get code(): string {
    return nameOf(Errno, this.errno);
  }
}

/** There is no more memory; what asked for it has changed nothing. `Routes`, `Neighbours` and `Links` make a refusal of their own of it. */
export class MemoryError extends RangeError {
  override readonly name = "MemoryError";
  readonly errno = Errno.ENOMEM;
  readonly code = "ENOMEM";
}

/** `change`, with `refusal` in place of a MemoryError. */
export function refusing<T>(refusal: (error: MemoryError) => Error, change: () => T): T {
  try {
    return change();
  } catch (error) {
    throw error instanceof MemoryError ? refusal(error) : error;
  }
}

/** As iproute2 prints ENOMEM. */
export const NO_MEMORY = "RTNETLINK answers: Cannot allocate memory";

/** Of `Routes`. */
export class RouteError extends Refusal {
  override readonly name = "RouteError";
}

/** @throws RouteError */
export const refuseRoute = (errno: Errno, message: string): never => {
  throw new RouteError(errno, message);
};

/** Of `Neighbours`. */
export class NeighbourError extends Refusal {
  override readonly name = "NeighbourError";
}
