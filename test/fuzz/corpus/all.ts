import { amqp } from './amqp.ts'
import type { Corpus } from './corpus.ts'
import { http } from './http.ts'
import { kafka } from './kafka.ts'

export const corpora: readonly Corpus[] = [kafka, amqp, http]
