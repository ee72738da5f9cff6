/** What the reference server (1.3.0) is set to when nobody says otherwise. Times are ms. */

export const serverVersion = '1.3.0'

export const limits = {
  lineBytesMax: 16 * 1024,
  messageBytesMax: 1024 * 1024,
  bodyBytesMax: 5 * 1024 * 1024,
  rdyMax: 2500,
  messageTimeoutMs: 60_000,
  messageTimeoutMaxMs: 15 * 60_000,
  requeueDelayMaxMs: 3_600_000,
  heartbeatMs: 30_000,
  heartbeatMaxMs: 60_000,
  outputBufferBytes: 16 * 1024,
  outputBufferBytesMax: 64 * 1024,
  outputBufferTimeoutMs: 250,
  outputBufferTimeoutMinMs: 25,
  outputBufferTimeoutMaxMs: 30_000,
  deflateLevelMax: 6,
} as const
