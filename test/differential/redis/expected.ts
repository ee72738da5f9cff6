/** Differences that are meant: what Debian's Redis 7.0 does otherwise than the version whose replies are given (7.4), or what AnyMQ does of its own. */
import type { Answer } from './wire.ts'

/** The reason, or null. */
export function isExpected(args: readonly string[], theirs: Answer, ours: Answer): string | null {
  for (const { reason, holds } of expectations) if (holds(args, theirs, ours)) return reason
  return null
}

interface Expectation {
  readonly reason: string
  holds(args: readonly string[], theirs: Answer, ours: Answer): boolean
}

const says = (answer: Answer, kind: string, value?: string): boolean =>
  answer.kind === kind && (value === undefined || ('value' in answer && answer.value === value))

const expectations: readonly Expectation[] = [
  {
    reason: 'since 7.2, XREADGROUP, XCLAIM and XAUTOCLAIM make their consumer though they get nothing',
    holds: ([name = '', word = ''], theirs, ours) =>
      name === 'XGROUP' && word === 'CREATECONSUMER' && says(theirs, ':', '1') && says(ours, ':', '0'),
  },
]
