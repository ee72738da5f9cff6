import { Buffer } from 'node:buffer'
import type { EntryContent } from '../../src/core/entry.ts'
import { plainFormat } from './plain-format.ts'

/** An entry of one plain record without anything else. */
export function entryOf(payload: Buffer | string, more: Partial<EntryContent> = {}): EntryContent {
  return {
    format: plainFormat.id,
    count: 1,
    timestamp: 1,
    expiresAt: 0,
    keyHash: 0,
    flags: 0,
    subject: null,
    annotations: null,
    payload: Buffer.from(payload),
    ...more,
  }
}
