// A request, or a part of one, that is refused in Kafka's words.
import { codeOf, KafkaError, textOf } from './errors.ts'

export class Refused extends Error {
  readonly errorCode: number
  constructor(errorCode: number, message: string) {
    super(message)
    this.errorCode = errorCode
  }
}

export class ConfigRefused extends Refused {
  constructor(message: string) {
    super(KafkaError.InvalidConfig, message)
  }
}

/** The fields that tell of any failure. */
export function failure(cause: unknown): { errorCode: number; errorMessage: string } {
  return { errorCode: cause instanceof Refused ? cause.errorCode : codeOf(cause), errorMessage: textOf(cause) }
}
