// Every request and what handles it; a missing one does not compile.
import type { RequestKey } from '../commands.ts'
import type { Handlers } from './answer.ts'
import { connectionHandlers } from './connection.ts'
import { consumingHandlers } from './consuming.ts'
import { publishingHandlers } from './publishing.ts'
import { streamHandlers } from './streams.ts'
import { superStreamHandlers } from './super-streams.ts'

export type { Answer } from './answer.ts'

export const handlers: Handlers<RequestKey> = {
  ...connectionHandlers,
  ...streamHandlers,
  ...superStreamHandlers,
  ...publishingHandlers,
  ...consumingHandlers,
}
