/** Why a change of routes is refused: nothing has changed then. */
import { Errno, nameOf } from "../verdict.ts";

export class RouteError extends Error {
  override readonly name = "RouteError";
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
