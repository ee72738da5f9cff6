/** Commands of lists, the blocking ones included: alone, these take what is there or wait a moment. */
import type { Make } from './commands.ts'

const ends = ['LEFT', 'RIGHT', 'left', 'MIDDLE'] as const
const moment = '0.01'

export const lists: readonly Make[] = [
  (p) => ['exact', 'LPUSH', p.key, ...p.many(() => p.value)],
  (p) => ['exact', 'RPUSH', p.key, ...p.many(() => p.value)],
  (p) => ['exact', 'LPUSH', p.key, p.value],
  (p) => ['exact', 'RPUSH', p.key, ...p.many(() => p.small, 6)],
  (p) => ['exact', 'LPUSHX', p.key, p.value],
  (p) => ['exact', 'RPUSHX', p.key, ...p.many(() => p.value)],
  (p) => ['exact', 'LPUSH', p.key],
  (p) => ['exact', 'LPOP', p.key, ...p.maybe(p.count)],
  (p) => ['exact', 'RPOP', p.key, ...p.maybe(p.count)],
  (p) => ['exact', 'LPOP', p.key, p.count, ...p.maybe('1')],
  (p) => ['exact', 'LLEN', p.key],
  (p) => ['exact', 'LRANGE', p.key, '0', '-1'],
  (p) => ['exact', 'LRANGE', p.key, p.small, p.small],
  (p) => ['exact', 'LINDEX', p.key, p.small],
  (p) => ['exact', 'LSET', p.key, p.small, p.value],
  (p) => ['exact', 'LINSERT', p.key, p.one(['BEFORE', 'AFTER', 'before', 'x']), p.one([p.value, p.small]), p.value],
  (p) => ['exact', 'LREM', p.key, p.small, p.one([p.value, p.small])],
  (p) => ['exact', 'LTRIM', p.key, p.small, p.small],
  (p) => [
    'exact',
    'LPOS',
    p.key,
    p.one([p.value, p.small]),
    ...p.maybe('RANK', p.small),
    ...p.maybe('COUNT', p.count),
    ...p.maybe('MAXLEN', p.count),
  ],
  (p) => ['exact', 'LMOVE', p.key, p.key, p.one(ends), p.one(ends)],
  (p) => ['exact', 'RPOPLPUSH', p.key, p.key],
  (p) => ['exact', 'LMPOP', p.one(['2', '2', '1', '0', 'x']), p.key, p.key, p.one(ends), ...p.maybe('COUNT', p.count)],
  (p) => ['exact', 'BLPOP', p.key, p.key, p.one([moment, moment, 'x', '-1'])],
  (p) => ['exact', 'BRPOP', p.key, moment],
  (p) => ['exact', 'BLMOVE', p.key, p.key, p.one(ends), p.one(ends), moment],
  (p) => ['exact', 'BRPOPLPUSH', p.key, p.key, moment],
  (p) => ['exact', 'BLMPOP', moment, '2', p.key, p.key, p.one(ends), ...p.maybe('COUNT', p.count)],
  (p) => ['exact', 'DEL', p.key],
  (p) => ['exact', 'TYPE', p.key],
  (p) => ['exact', 'RENAME', p.key, p.key],
  (p) => ['exact', 'COPY', p.key, p.key, ...p.maybe('REPLACE')],
  (p) => ['exact', 'EXPIRE', p.key, '100'],
  (p) => ['exact', 'PERSIST', p.key],
]
