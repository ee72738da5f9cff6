/** What may differ between the two brokers, and why. The protocol's README names the same. */
import { configRows } from '../../../src/protocols/kafka/config.ts'
import type { Expected } from './case.ts'

interface Everywhere extends Expected {
  readonly when?: (theirs: unknown, ours: unknown) => boolean
}

const bothTexts = (theirs: unknown, ours: unknown): boolean => typeof theirs === 'string' && typeof ours === 'string'

/** Configs of topics that Kafka does not have: our own, and those of Confluent's server. */
const isOwn = /^(anymq|confluent)\./
const ownConfigs = configRows.filter(({ name }) => isOwn.test(name)).length

export const everywhere: readonly Everywhere[] = [
  { path: /configs\[(anymq|confluent)\./, why: 'settings that Kafka does not have' },
  { path: /configs\.length$/, why: 'settings that Kafka does not have', when: (a, b) => Number(b) - Number(a) === ownConfigs },
  {
    path: /(^|\.)(topicId|clusterId|host|port|replicaDirectoryId)$/,
    why: 'each broker has its own',
    when: (a, b) => typeof a === typeof b,
  },
  { path: /producerId$/, why: 'each broker has its own', when: (a, b) => Number(a) >= 0 && Number(b) >= 0 },
  { path: /errorMessage$/, why: 'the words are our own; that there are some is compared', when: bothTexts },
  { path: /documentation$/, why: 'the words are our own; that there are some is compared', when: bothTexts },
  { path: /[tT]imestamp$/, why: 'times of two runs', when: (a, b) => Number(a) > 0 && Number(b) > 0 },
  {
    path: /configs\[segment\.bytes\]\.(value|synonyms\[log\.segment\.bytes\]\.value)$/,
    why: 'segments are smaller here by default',
  },
  {
    path: /configs\[min\.insync\.replicas\]\.(configSource|synonyms)/,
    why: 'Kafka sets it at run time when it tracks replicas that may lead (KIP-966); here it is plainly the default',
  },
  {
    path: /[pP]rincipalName$/,
    why: 'who has not logged in is written in lower case here',
    when: (a, b) => String(a).toLowerCase() === String(b),
  },
  {
    path: /(logDir|totalBytes|usableBytes|partitionSize)$/,
    why: 'the disk is laid out in another way',
    when: (a, b) => typeof a === typeof b,
  },
]

const internal = 'between the nodes of a Kafka cluster'
const notServed = 'not served; see the README of the protocol'

/** Requests that are not advertised, or not in the versions of Kafka 4.3, with the reason. */
export const versionsDiffer: ReadonlyMap<number, string> = new Map([
  [18, 'v5 of Kafka 4.4 is served too'],
  [28, 'v6 of Kafka 4.4 is served too'],
  [42, 'v3 of Kafka 4.4 is served too'],
  [64, internal],
  [71, 'no metrics of clients are collected'],
  [72, 'no metrics of clients are collected'],
  [76, notServed],
  [77, notServed],
  [78, notServed],
  [79, notServed],
  [80, 'the quorum of controllers is this node alone'],
  [81, 'the quorum of controllers is this node alone'],
  [83, internal],
  [84, internal],
  [85, internal],
  [86, internal],
  [87, internal],
  [88, notServed],
  [89, notServed],
  [90, notServed],
  [91, notServed],
  [92, notServed],
])
