/** Random commands from a seed: few keys, so that types meet, and values at the edges. How the replies are compared is said with each. */
import { Random } from '../../simulation/disk.ts'
import { lists } from './lists.ts'
import { places } from './places.ts'
import { streams } from './streams.ts'

/**
 * `exact`; `unordered`: elements in any order; `pairs`: so are pairs of elements; `near`: numbers may differ by a little, which is time;
 * `kind`: only what kind of reply it is; `scan`: a cursor and elements, of which the cursor is the server's own.
 */
export type Comparison = 'exact' | 'unordered' | 'pairs' | 'near' | 'kind' | 'scan'

export interface Generated {
  readonly args: readonly string[]
  readonly comparison: Comparison
}

export type Make = (pick: Picker) => readonly [Comparison, ...(string | number)[]]

export class Picker {
  readonly #random: Random

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  below(limit: number): number {
    return this.#random.below(limit)
  }

  one<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T // below length
  }

  maybe(...args: (string | number)[]): (string | number)[] {
    return this.below(2) === 0 ? [] : args
  }

  many<T>(make: () => T, most = 3): T[] {
    return Array.from({ length: 1 + this.below(most) }, make)
  }

  get key(): string {
    return this.one(['a', 'b', 'c', 'd', 'e{x}', 'k:1'])
  }
  /** Of a sorted set whose scores are all the same: for others ranges by members mean nothing. */
  get lexKey(): string {
    return 'lex'
  }
  get value(): string {
    return this.one([
      '',
      '0',
      '1',
      '-1',
      '10',
      'abc',
      'hello world',
      '3.5',
      '1e3',
      '9223372036854775807',
      '-9223372036854775808',
      '\u00ff\u0000\r\n',
      'x'.repeat(70),
      '007',
      ' 1',
      '1.0e-2',
    ])
  }
  get integer(): string {
    return this.one([
      '0',
      '1',
      '2',
      '-1',
      '-2',
      '5',
      '10',
      '100',
      '-100',
      '9223372036854775807',
      '-9223372036854775808',
      '9223372036854775808',
      '1.5',
      'x',
      '',
      '+1',
      '01',
    ])
  }
  get small(): string {
    return this.one(['0', '1', '2', '3', '-1', '-2', '-3', '5', '10', '-10', 'x'])
  }
  get count(): string {
    return this.one(['1', '2', '3', '0', '10', '-1', 'x'])
  }
  get float(): string {
    return this.one([
      '0',
      '1',
      '-1',
      '1.5',
      '2.25',
      '-0.1',
      '3e2',
      'inf',
      '-inf',
      'nan',
      'x',
      '',
      '0.30000000000000004',
      '100000000000000000000',
      '1e-10',
      '5.0',
      '.5',
      '7.',
    ])
  }
  get score(): string {
    return this.one(['0', '1', '2', '3', '-1', '1.5', '2.5', 'inf', '-inf', '10', '-0'])
  }
  get field(): string {
    return this.one(['f1', 'f2', 'f3', 'f4', '', 'n'])
  }
  get member(): string {
    return this.one(['m1', 'm2', 'm3', 'a', 'b', 'c', '1', '2', '30', '', '-5'])
  }
  get bound(): string {
    return this.one(['-inf', '+inf', '0', '1', '(1', '2', '(2.5', '-1', 'x', '(', '3'])
  }
  get lex(): string {
    return this.one(['-', '+', '[a', '(a', '[m1', '(m2', '[', '(z', 'x', '[c'])
  }
}

const strings: readonly Make[] = [
  (p) => [
    'exact',
    'SET',
    p.key,
    p.value,
    ...p.maybe(p.one(['NX', 'XX', 'GET', 'KEEPTTL'])),
    ...p.maybe(p.one(['GET', 'XX', 'EX', 'BAD'])),
  ],
  (p) => ['exact', 'SET', p.key, p.value, p.one(['EX', 'PX']), p.one(['1000', '0', '-1', 'x', '9223372036854775807', '100000'])],
  (p) => ['exact', 'GET', p.key],
  (p) => ['exact', 'SETNX', p.key, p.value],
  (p) => ['exact', 'SETEX', p.key, p.one(['1000', '0', 'x']), p.value],
  (p) => ['exact', 'PSETEX', p.key, p.one(['100000', '0', '-5']), p.value],
  (p) => ['exact', 'GETSET', p.key, p.value],
  (p) => ['exact', 'GETDEL', p.key],
  (p) => ['exact', 'GETEX', p.key, ...p.maybe(p.one(['PERSIST', 'EX', 'BAD'])), ...p.maybe('1000')],
  (p) => ['exact', 'MGET', ...p.many(() => p.key)],
  (p) => ['exact', 'MSET', ...p.many(() => [p.key, p.value]).flat(), ...p.maybe('odd')],
  (p) => ['exact', 'MSETNX', ...p.many(() => [p.key, p.value]).flat()],
  (p) => ['exact', p.one(['INCR', 'DECR']), p.key],
  (p) => ['exact', p.one(['INCRBY', 'DECRBY']), p.key, p.integer],
  (p) => ['exact', 'INCRBYFLOAT', p.key, p.float],
  (p) => ['exact', 'APPEND', p.key, p.value],
  (p) => ['exact', 'STRLEN', p.key],
  (p) => ['exact', 'SETRANGE', p.key, p.one(['0', '1', '5', '20', '-1', 'x', '536870912']), p.value],
  (p) => ['exact', p.one(['GETRANGE', 'SUBSTR']), p.key, p.small, p.small],
  (p) => [
    'exact',
    'LCS',
    p.key,
    p.key,
    ...p.maybe(p.one(['LEN', 'IDX', 'BAD'])),
    ...p.maybe('MINMATCHLEN', p.small),
    ...p.maybe('WITHMATCHLEN'),
  ],
  (p) => ['exact', 'SETBIT', p.key, p.one(['0', '1', '7', '8', '100', '-1', 'x', '4294967296']), p.one(['0', '1', '2'])],
  (p) => ['exact', 'GETBIT', p.key, p.one(['0', '1', '7', '8', '100', '-1', 'x'])],
  (p) => ['exact', 'BITCOUNT', p.key, ...p.maybe(p.small, p.small), ...p.maybe(p.one(['BIT', 'BYTE', 'X']))],
  (p) => [
    'exact',
    'BITPOS',
    p.key,
    p.one(['0', '1', '2']),
    ...p.maybe(p.small),
    ...p.maybe(p.small),
    ...p.maybe(p.one(['BIT', 'BYTE'])),
  ],
  (p) => ['exact', 'BITOP', p.one(['AND', 'OR', 'XOR', 'NOT', 'BAD']), p.key, ...p.many(() => p.key)],
  (p) => [
    'exact',
    p.one(['BITFIELD', 'BITFIELD', 'BITFIELD_RO']),
    p.key,
    ...p
      .many(() =>
        p.one([
          ['GET', p.one(['u8', 'i5', 'u63', 'i64', 'u64', 'x']), p.one(['0', '3', '#1', '100', '-1'])],
          ['SET', p.one(['u8', 'i5', 'i64']), p.one(['0', '3', '#1']), p.one(['1', '-1', '255', '300', '-100'])],
          ['INCRBY', p.one(['u8', 'i5', 'i64', 'u2']), p.one(['0', '3', '#1']), p.one(['1', '-1', '100', '9223372036854775807'])],
          ['OVERFLOW', p.one(['WRAP', 'SAT', 'FAIL', 'BAD'])],
        ]),
      )
      .flat(),
  ],
]

const keys: readonly Make[] = [
  (p) => ['exact', p.one(['DEL', 'UNLINK', 'EXISTS', 'TOUCH']), ...p.many(() => p.key)],
  (p) => ['exact', 'TYPE', p.key],
  (p) => ['exact', p.one(['RENAME', 'RENAMENX']), p.key, p.key],
  (p) => ['exact', 'COPY', p.key, p.key, ...p.maybe('REPLACE'), ...p.maybe('DB', p.one(['1', '0', '16', 'x']))],
  (p) => ['exact', 'MOVE', p.key, p.one(['1', '0', '99'])],
  (p) => [
    'exact',
    p.one(['EXPIRE', 'PEXPIRE', 'EXPIREAT', 'PEXPIREAT']),
    p.key,
    p.one(['100000', '4000000000', '-1', 'x', '9223372036854775807']),
    ...p.maybe(p.one(['NX', 'XX', 'GT', 'LT', 'BAD'])),
    ...p.maybe(p.one(['GT', 'NX'])),
  ],
  (p) => ['near', p.one(['TTL', 'PTTL']), p.key],
  (p) => ['near', p.one(['EXPIRETIME', 'PEXPIRETIME']), p.key],
  (p) => ['exact', 'PERSIST', p.key],
  (p) => ['unordered', 'KEYS', p.one(['*', 'a', '?', '[a-c]', '[^a]', '*x*', 'k\\:*', '[', 'z*'])],
  (p) => ['exact', 'SCAN', 'x', ...p.maybe('COUNT', p.count)],
  () => ['scan', 'SCAN', '0', 'COUNT', '1000'],
  (p) => ['scan', 'SCAN', '0', 'COUNT', '1000', 'TYPE', p.one(['string', 'hash', 'zset', 'set', 'nope'])],
  () => ['exact', 'DBSIZE'],
  (p) => ['exact', 'OBJECT', 'REFCOUNT', p.one(['nokey'])],
  (p) => ['exact', 'SELECT', p.one(['0', '0', '0', '1', '16', 'x', '-1'])],
  (p) => ['exact', 'SWAPDB', p.one(['0', '1', 'x']), p.one(['0', '1', '16'])],
  (p) => ['exact', 'ECHO', p.value],
  (p) => ['exact', 'PING', ...p.maybe(p.value)],
  (p) => ['kind', 'RANDOMKEY', ...p.maybe()],
  () => ['exact', 'NOSUCH', 'x'],
  () => ['exact', 'GET'],
  () => ['exact', 'OBJECT', 'NOSUCH', 'x'],
  (p) => ['exact', 'FLUSHDB', ...p.maybe(p.one(['ASYNC', 'SYNC', 'BAD']))],
]

const hashes: readonly Make[] = [
  (p) => ['exact', p.one(['HSET', 'HMSET']), p.key, ...p.many(() => [p.field, p.value]).flat(), ...p.maybe('odd')],
  (p) => ['exact', 'HSETNX', p.key, p.field, p.value],
  (p) => ['exact', 'HGET', p.key, p.field],
  (p) => ['exact', 'HMGET', p.key, ...p.many(() => p.field)],
  (p) => ['pairs', 'HGETALL', p.key],
  (p) => ['unordered', p.one(['HKEYS', 'HVALS']), p.key],
  (p) => ['exact', 'HLEN', p.key],
  (p) => ['exact', 'HSTRLEN', p.key, p.field],
  (p) => ['exact', 'HEXISTS', p.key, p.field],
  (p) => ['exact', 'HDEL', p.key, ...p.many(() => p.field)],
  (p) => ['exact', 'HINCRBY', p.key, p.one(['n', 'f1']), p.integer],
  (p) => ['exact', 'HINCRBYFLOAT', p.key, p.one(['n', 'f1']), p.float],
  (p) => ['scan', 'HSCAN', p.key, '0', ...p.maybe('MATCH', 'f*')],
  (p) => ['kind', 'HRANDFIELD', p.key, ...p.maybe(p.count), ...p.maybe(p.one(['WITHVALUES', 'BAD']))],
]

const sets: readonly Make[] = [
  (p) => ['exact', 'SADD', p.key, ...p.many(() => p.member)],
  (p) => ['exact', 'SREM', p.key, ...p.many(() => p.member)],
  (p) => ['unordered', 'SMEMBERS', p.key],
  (p) => ['exact', 'SCARD', p.key],
  (p) => ['exact', 'SISMEMBER', p.key, p.member],
  (p) => ['exact', 'SMISMEMBER', p.key, ...p.many(() => p.member)],
  (p) => ['exact', 'SMOVE', p.key, p.key, p.member],
  (p) => ['unordered', p.one(['SINTER', 'SUNION', 'SDIFF']), ...p.many(() => p.key)],
  (p) => ['exact', p.one(['SINTERSTORE', 'SUNIONSTORE', 'SDIFFSTORE']), p.key, ...p.many(() => p.key)],
  (p) => ['exact', 'SINTERCARD', p.one(['1', '2', '0', 'x', '5']), p.key, p.key, ...p.maybe('LIMIT', p.count)],
  (p) => ['kind', 'SRANDMEMBER', p.key, ...p.maybe(p.count)],
  (p) => ['scan', 'SSCAN', p.key, '0', ...p.maybe('MATCH', 'm*')],
  (p) => ['unordered', 'SPOP', p.key, p.one(['100', '0', '-1', 'x'])],
  (p) => ['unordered', p.one(['SORT', 'SORT_RO']), p.key, ...p.maybe('ALPHA'), ...p.maybe('BY', p.one(['nosort', 'w_*']))],
  (p) => [
    'exact',
    'SORT',
    p.key,
    'ALPHA',
    ...p.maybe('DESC'),
    ...p.maybe('LIMIT', p.small, p.small),
    ...p.maybe('GET', p.one(['#', 'v_*', 'h->f1'])),
  ],
]

const sortedSets: readonly Make[] = [
  (p) => [
    'exact',
    'ZADD',
    p.key,
    ...p.maybe(p.one(['NX', 'XX', 'GT', 'LT'])),
    ...p.maybe(p.one(['CH', 'INCR', 'GT'])),
    ...p.many(() => [p.score, p.member]).flat(),
    ...p.maybe('x'),
  ],
  (p) => ['exact', 'ZADD', p.key, ...p.many(() => [p.score, p.member], 6).flat()],
  (p) => ['exact', 'ZINCRBY', p.key, p.float, p.member],
  (p) => ['exact', 'ZREM', p.key, ...p.many(() => p.member)],
  (p) => ['exact', 'ZSCORE', p.key, p.member],
  (p) => ['exact', 'ZMSCORE', p.key, ...p.many(() => p.member)],
  (p) => ['exact', 'ZCARD', p.key],
  (p) => ['exact', p.one(['ZRANK', 'ZREVRANK']), p.key, p.member],
  (p) => ['exact', 'ZCOUNT', p.key, p.bound, p.bound],
  (p) => ['exact', 'ZADD', p.lexKey, ...p.many(() => ['0', p.member], 6).flat()],
  (p) => ['exact', 'ZLEXCOUNT', p.lexKey, p.lex, p.lex],
  (p) => ['exact', p.one(['ZRANGE', 'ZREVRANGE']), p.key, p.small, p.small, ...p.maybe('WITHSCORES')],
  (p) => [
    'exact',
    'ZRANGE',
    p.key,
    p.bound,
    p.bound,
    p.one(['BYSCORE', 'BYLEX']),
    ...p.maybe('REV'),
    ...p.maybe('LIMIT', p.small, p.small),
    ...p.maybe('WITHSCORES'),
  ],
  (p) => [
    'exact',
    p.one(['ZRANGEBYSCORE', 'ZREVRANGEBYSCORE']),
    p.key,
    p.bound,
    p.bound,
    ...p.maybe('WITHSCORES'),
    ...p.maybe('LIMIT', p.small, p.small),
  ],
  (p) => [
    'exact',
    'ZRANGE',
    p.lexKey,
    p.lex,
    p.lex,
    'BYLEX',
    ...p.maybe('REV'),
    ...p.maybe('LIMIT', p.small, p.small),
    ...p.maybe('WITHSCORES'),
  ],
  (p) => ['exact', p.one(['ZRANGEBYLEX', 'ZREVRANGEBYLEX']), p.lexKey, p.lex, p.lex, ...p.maybe('LIMIT', p.small, p.small)],
  (p) => ['exact', 'ZRANGESTORE', p.key, p.key, p.small, p.small, ...p.maybe('REV')],
  (p) => ['exact', 'ZREMRANGEBYRANK', p.key, p.small, p.small],
  (p) => ['exact', 'ZREMRANGEBYSCORE', p.key, p.bound, p.bound],
  (p) => ['exact', 'ZREMRANGEBYLEX', p.lexKey, p.lex, p.lex],
  (p) => ['exact', p.one(['ZPOPMIN', 'ZPOPMAX']), p.key, ...p.maybe(p.count)],
  (p) => ['exact', p.one(['BZPOPMIN', 'BZPOPMAX']), p.key, p.key, p.one(['0.01', 'x', '-1'])],
  (p) => [
    'exact',
    'ZMPOP',
    p.one(['1', '2', '0', 'x']),
    p.key,
    p.key,
    p.one(['MIN', 'MAX', 'BAD']),
    ...p.maybe('COUNT', p.count),
  ],
  (p) => ['exact', 'BZMPOP', '0.01', '1', p.key, p.one(['MIN', 'MAX']), ...p.maybe('COUNT', p.count)],
  (p) => [
    'exact',
    p.one(['ZUNION', 'ZINTER', 'ZDIFF']),
    p.one(['1', '2', '0']),
    p.key,
    p.key,
    ...p.maybe('WEIGHTS', p.score, p.score),
    ...p.maybe('AGGREGATE', p.one(['SUM', 'MIN', 'MAX', 'BAD'])),
    ...p.maybe('WITHSCORES'),
  ],
  (p) => [
    'exact',
    p.one(['ZUNIONSTORE', 'ZINTERSTORE', 'ZDIFFSTORE']),
    p.key,
    '2',
    p.key,
    p.key,
    ...p.maybe('AGGREGATE', p.one(['MIN', 'MAX'])),
  ],
  (p) => ['exact', 'ZINTERCARD', p.one(['2', '0', 'x']), p.key, p.key, ...p.maybe('LIMIT', p.count)],
  (p) => ['kind', 'ZRANDMEMBER', p.key, ...p.maybe(p.count), ...p.maybe('WITHSCORES')],
  (p) => ['scan', 'ZSCAN', p.key, '0', ...p.maybe('MATCH', 'm*')],
]

const scripts = [
  "return redis.call('GET', KEYS[1])",
  "return redis.pcall('INCR', KEYS[1])",
  "return redis.call('INCR', KEYS[1])",
  "return {1, 2.9, 'x', true, false, {ok = 'fine'}, {err = 'BAD it is'}}",
  "return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
  'local t = {} for i = 1, 5 do t[i] = i * i end return t',
  'return cjson.encode({1, 2, {a = ARGV[1]}})',
  "return redis.call('SET', KEYS[1], ARGV[1], 'XX')",
  'return tostring(ARGV[1]) .. #KEYS',
  "return string.format('%s|%5.1f|%d', ARGV[1], 2.25, 42)",
  'return unknown',
  "error('no')",
  "return redis.call('NOSUCH')",
  'return nil',
  'return tonumber(ARGV[1])',
  'return redis.sha1hex(ARGV[1])',
  'local ok, e = pcall(function() local x = nil; return x.y end) return e',
  "return {cmsgpack.unpack(cmsgpack.pack(1, 'a', {1, 2}))}",
  'return {struct.unpack("<i4", struct.pack("<i4", 77))}',
  'return bit.bxor(5, 3)',
  "return ('a,b,c'):gsub(',', ';')",
  "redis.call('SET', KEYS[1], 'changed') return redis.status_reply('DONE')",
  "return redis.call('HSET', KEYS[1], 'f', 1)",
  'if x then',
]

const others: readonly Make[] = [
  (p) => ['exact', 'EVAL', p.one(scripts), '1', p.key, p.value],
  () => ['exact', 'MULTI'],
  () => ['exact', 'EXEC'],
  () => ['exact', 'DISCARD'],
  (p) => ['exact', 'WATCH', p.key],
  () => ['exact', 'UNWATCH'],
  (p) => ['exact', 'PUBLISH', p.key, p.value],
  () => ['exact', 'EVALSHA', 'ffffffffffffffffffffffffffffffffffffffff', '0'],
]

export const families: Readonly<Record<string, readonly Make[]>> = {
  strings,
  keys,
  hashes,
  sets,
  sortedSets,
  lists,
  streams,
  others,
  places,
}

/** Commands of a seed: mostly of one family, some of all. */
export function* sequence(seed: number, length: number): Generator<Generated> {
  const pick = new Picker(seed)
  const names = Object.keys(families)
  const main = families[names[seed % names.length] ?? ''] ?? strings
  const all = Object.values(families).flat()
  for (let count = 0; count < length; count++) {
    const make = pick.below(4) === 0 ? pick.one(all) : pick.one(main)
    const [comparison, ...args] = make(pick)
    yield { comparison, args: args.map(String) }
  }
}
