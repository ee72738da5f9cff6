/** Logs go to stderr: readable lines on a terminal, JSON otherwise. */
import { pino } from 'pino'
import type { Logger } from '../broker/face.ts'
import type { LogLevel } from './settings.ts'

export async function createLog(level: LogLevel): Promise<{ readonly log: Logger }> {
  // In a wrapper: pino's loggers have an index signature, and with it something that looks like a promise's `then`.
  if (!process.stderr.isTTY)
    return { log: pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true })) }
  const { default: pretty } = await import('pino-pretty')
  return { log: pino({ level, base: null }, pretty({ destination: 2, sync: true, translateTime: 'SYS:HH:MM:ss.l' })) }
}
