/** What may differ between the two servers, and why. The protocol's README names the same. */

export interface Expected {
  readonly path: RegExp
  readonly why: string
  /** In conversations of these names alone. */
  readonly in?: RegExp
  readonly when?: (theirs: unknown, ours: unknown) => boolean
}

const bothNumbers = (theirs: unknown, ours: unknown): boolean => Number(theirs) >= 0 && Number(ours) >= 0
const parserWords = ['invalid JSON: ', 'failed to parse', '400 Bad Request - ', 'stream transform: invalid ']

export const expected: readonly Expected[] = [
  {
    path: /(metadata\._nats\.(ver|level)|api\.level)$/,
    why: 'the features of JetStream that are offered are those of an older nats-server',
  },
  { path: /state\.bytes$/, why: 'bytes are those of entries as they are stored', when: bothNumbers },
  {
    path: /(^|\.)(memory|storage|reserved_memory|reserved_storage|total|errors|inflight)$/,
    why: 'of each server',
    in: /account/,
  },
  {
    path: /state\.last_ts$/,
    why: 'of an empty stream that begins with a later sequence it is sometimes the time of its creation',
    in: /limits|generated/,
  },
  {
    path: /headers\.Nats-Last-Sequence/,
    why: 'a marker is stored in one step with the end of what it stands for, so that there is nothing before it',
    in: /markers/,
  },
  {
    path: /state\.num_deleted$/,
    why: 'of a stream that nothing was ever published to, when deleted sequences are asked for',
    in: /generated/,
    when: (theirs, ours) => theirs === 1 && ours === undefined,
  },
  { path: /(mirror|sources\[\w+\])\.active$/, why: 'two servers never do a thing at the same time', when: bothNumbers },
  {
    path: /((mirror|sources\[\w+\])\.lag|num_pending)$/,
    why: 'what is copied comes a moment later: sooner there, or here',
    in: /windows|mirrors of/,
    when: (theirs, ours) => bothNumbers(theirs ?? 0, ours ?? 0),
  },
  {
    path: /(headers\.Nats-Stream-Source\[0\]|sources\[\w+\]\.seq)$/,
    why: "of nats-server 2.15: the origin's identity, and how far it was copied",
    when: (theirs, ours) => (ours === undefined ? Number(theirs) > 0 : String(theirs).startsWith(`${String(ours)} `)),
  },
  { path: /cluster\.leader$/, why: 'each server has its own name', when: (theirs, ours) => typeof theirs === typeof ours },
  {
    path: /(error\.description|status)$/,
    why: 'what a parser says of what it does not understand',
    when: (theirs, ours) => parserWords.some((words) => String(theirs).startsWith(words) && String(ours).startsWith(words)),
  },
  { path: /pause_remaining$/, why: 'two servers never do a thing at the same time', when: bothNumbers },
  {
    path: /^(\.length|\[0\]\.(subject|reply|status|body|headers\..*))$/,
    why: 'a request that is none of the API is answered as one that nobody hears; nats-server keeps silent',
    in: /nobody answers|refused/,
    when: (theirs) => theirs === 0 || theirs === undefined,
  },
  {
    path: /(delivered|ack_floor)\.stream_seq$/,
    why: 'a start behind the last sequence is the end here; what was taken away before a consumer was made is not passed over yet',
    in: /begin|interest/,
    when: bothNumbers,
  },
]
