/**
 * The end of a turn of the event loop, at which what was collected in it is done once. Who waits for the disk is told when the turn has ended already: what
 * follows from that is done as soon as all have been told. One more turn would cost each command that is sent alone a pass through the event loop.
 */
let isEnding = false

/** Tells those who waited for the turn's end. */
export function endTurn(tell: () => void): void {
  isEnding = true
  try {
    tell()
  } finally {
    isEnding = false
  }
}

/** Runs it once, when nothing more comes in this turn. */
export function atEndOfTurn(run: () => void): void {
  if (isEnding) queueMicrotask(run)
  else setImmediate(run)
}
