import assert from 'node:assert/strict'

/** What clients do until their connections are cut, or `stop` is called: it throws what one of them found wrong, and no other error. */
export function untilCut(loops: readonly Promise<void>[], stop: () => void, close: () => void): { stop(): Promise<void> } {
  const failed = Promise.all(loops).then(
    () => null,
    (error: Error) => error,
  )
  return {
    stop: async () => {
      stop()
      const error = await failed
      close()
      if (error instanceof assert.AssertionError) throw error
    },
  }
}
