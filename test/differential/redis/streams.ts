/** Commands of streams, with ids that meet: few, small, some of them none. */
import type { Make, Picker } from './commands.ts'

const odd = ['0', '0-0', '0-1', 'x', '1-x', '5-*', '*x', '18446744073709551615-18446744073709551615', '10']

const id = (p: Picker): string => (p.below(12) === 0 ? p.one(odd) : `${1 + p.below(30)}-${p.below(3)}`)
const bound = (p: Picker): string => p.one(['-', '+', id(p), `(${id(p)}`, id(p)])
const group = (p: Picker): string => p.one(['g', 'h'])
const consumer = (p: Picker): string => p.one(['one', 'two'])
const count = (p: Picker): (string | number)[] => p.maybe('COUNT', p.count)
const trimming = (p: Picker): readonly string[] =>
  p.one([
    ['MAXLEN', '3'],
    ['MAXLEN', '=', p.small],
    ['MAXLEN', '~', p.small],
    ['MINID', id(p)],
    ['MINID', '=', id(p)],
    ['MAXLEN', '~', '2', 'LIMIT', p.small],
    ['MAXLEN', '5', 'LIMIT', '3'],
    ['MAXLEN', '2', 'MINID', '1'],
    ['LIMIT', '3'],
  ])
const claimOptions = (p: Picker): readonly string[] =>
  p.one([
    [],
    ['FORCE'],
    ['JUSTID'],
    ['IDLE', '5'],
    ['RETRYCOUNT', '7'],
    ['FORCE', 'JUSTID'],
    ['LASTID', '9-9'],
    ['TIME', '100'],
    ['FOO'],
  ])

export const streams: readonly Make[] = [
  (p) => ['exact', 'XADD', p.key, id(p), 'f', p.value],
  (p) => ['exact', 'XADD', p.key, `${10 + p.below(30)}-*`, 'f', p.value, 'g', p.value],
  (p) => ['exact', 'XADD', p.key, ...p.maybe('NOMKSTREAM'), ...p.maybe(...trimming(p)), id(p), 'f', p.value],
  (p) => ['exact', 'XADD', p.key, id(p), 'f'],
  (p) => ['exact', 'XLEN', p.key],
  (p) => ['exact', 'XRANGE', p.key, '-', '+'],
  (p) => ['exact', 'XRANGE', p.key, bound(p), bound(p), ...count(p)],
  (p) => ['exact', 'XREVRANGE', p.key, bound(p), bound(p), ...count(p)],
  (p) => ['exact', 'XDEL', p.key, ...p.many(() => id(p))],
  (p) => ['exact', 'XTRIM', p.key, ...trimming(p)],
  (p) => ['exact', 'XREAD', ...count(p), ...p.maybe('BLOCK', '5'), 'STREAMS', p.key, p.one([id(p), '$'])],
  (p) => ['exact', 'XREAD', 'STREAMS', p.key, p.key, id(p), p.one([id(p), '>'])],
  (p) => ['exact', 'XGROUP', 'CREATE', p.key, group(p), p.one(['0', '$', id(p)]), ...p.maybe('MKSTREAM')],
  (p) => ['exact', 'XGROUP', 'CREATE', p.key, group(p), '0', 'MKSTREAM'],
  (p) => ['exact', 'XGROUP', 'SETID', p.key, group(p), p.one(['0', '$', id(p)])],
  (p) => ['exact', 'XGROUP', p.one(['DESTROY', 'SETID', 'NONE']), p.key, group(p)],
  (p) => ['exact', 'XGROUP', 'CREATECONSUMER', p.key, group(p), consumer(p)],
  (p) => ['exact', 'XGROUP', 'DELCONSUMER', p.key, group(p), consumer(p)],
  (p) => [
    'exact',
    'XREADGROUP',
    'GROUP',
    group(p),
    consumer(p),
    ...count(p),
    ...p.maybe('NOACK'),
    ...p.maybe('BLOCK', '5'),
    'STREAMS',
    p.key,
    '>',
  ],
  (p) => ['exact', 'XREADGROUP', 'GROUP', group(p), consumer(p), 'COUNT', '2', 'STREAMS', p.key, '>'],
  (p) => ['exact', 'XREADGROUP', 'GROUP', group(p), consumer(p), ...count(p), 'STREAMS', p.key, p.one(['0', id(p), '$'])],
  (p) => ['exact', 'XACK', p.key, group(p), ...p.many(() => id(p))],
  (p) => ['exact', 'XPENDING', p.key, group(p)],
  (p) => ['kind', 'XPENDING', p.key, group(p), bound(p), bound(p), p.count, ...p.maybe(consumer(p))],
  (p) => [
    'exact',
    'XCLAIM',
    p.key,
    group(p),
    consumer(p),
    p.one(['0', '0', '100000', 'x', '-1']),
    ...p.many(() => id(p)),
    ...claimOptions(p),
  ],
  (p) => [
    'exact',
    'XAUTOCLAIM',
    p.key,
    group(p),
    consumer(p),
    p.one(['0', '100000', 'x']),
    bound(p),
    ...count(p),
    ...p.maybe('JUSTID'),
  ],
  (p) => ['exact', 'XINFO', 'STREAM', p.key],
  (p) => ['kind', 'XINFO', 'GROUPS', p.key],
  (p) => ['kind', 'XINFO', 'CONSUMERS', p.key, group(p)],
  (p) => ['exact', 'XSETID', p.key, id(p), ...p.maybe('ENTRIESADDED', p.small), ...p.maybe('MAXDELETEDID', id(p))],
  (p) => ['exact', 'TYPE', p.key],
  (p) => ['exact', p.one(['DEL', 'EXISTS', 'EXISTS', 'EXISTS']), p.key],
  (p) => ['exact', 'RENAME', p.key, p.key],
  (p) => ['exact', 'COPY', p.key, p.key],
]
