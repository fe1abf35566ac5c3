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
