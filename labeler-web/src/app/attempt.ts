/** What the reader asked for and what has become of it: nothing fails in silence, and the page knows when all is done. */
import * as S from "./state";

let running = 0;

/** True while something that was asked for is on its way. */
export const busy = (): boolean => running > 0;

/** Does what was asked for; what goes wrong with it is said in the status line. */
export async function attempt(act: () => unknown): Promise<void> {
  running++;
  try {
    await act();
  } catch (reason) {
    S.say(messageOf(reason), true);
  } finally {
    running--;
  }
}

export const messageOf = (reason: unknown): string => (reason instanceof Error ? reason.message : String(reason));
