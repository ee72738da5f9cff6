/** Commands of geo and HyperLogLog. What nobody asked to have sorted is compared in any order. */
import type { Make, Picker } from './commands.ts'

const units = ['m', 'km', 'FT', 'mi', 'x'] as const
const place = (p: Picker): string[] => [
  p.one(['13.361389', '15.087269', '2.1909389952632', '-180', '180', '0', '-0.5', '13.5', '181', 'x']),
  p.one(['38.115556', '37.502669', '41.433791470673', '85.05112878', '-85.05112878', '0', '-0.25', '38', '86']),
]
const goodPlace = (p: Picker): string[] => [
  p.one(['13.361389', '15.087269', '2.1909389952632', '-100', '99.9', '0', '-0.5', '13.5']),
  p.one(['38.115556', '37.502669', '41.433791470673', '60', '-60', '0', '-0.25', '38']),
]
/** What lies beyond a pole, or on the other side of the antimeridian, Redis does not find. */
const centre = (p: Picker): string[] => [
  p.one(['13.361389', '15.087269', '2.1909389952632', '0', '-0.5', '13.5']),
  p.one(['38.115556', '37.502669', '41.433791470673', '0', '-0.25', '38']),
]
const from = (p: Picker): string[] => (p.below(2) === 0 ? ['FROMMEMBER', p.member] : ['FROMLONLAT', ...centre(p)])
const length = (p: Picker): string => p.one(['0', '1', '50', '200', '1000', '3000', '-1', 'x'])
const shape = (p: Picker): string[] =>
  p.below(2) === 0 ? ['BYRADIUS', length(p), p.one(units)] : ['BYBOX', length(p), length(p), p.one(units)]
const shown = (p: Picker): (string | number)[] => [...p.maybe('WITHDIST'), ...p.maybe('WITHCOORD'), ...p.maybe('WITHHASH')]
const keyOf = (p: Picker): string => p.one(['geo1', 'geo2', p.key])
const logOf = (p: Picker): string => p.one(['log1', 'log2', 'log3', p.key])

export const places: readonly Make[] = [
  (p) => ['exact', 'GEOADD', keyOf(p), ...p.many(() => [...goodPlace(p), p.member], 5).flat()],
  (p) => ['exact', 'GEOADD', keyOf(p), ...p.many(() => [...goodPlace(p), p.member], 5).flat()],
  (p) => [
    'exact',
    'GEOADD',
    keyOf(p),
    ...p.maybe(p.one(['NX', 'XX', 'BAD'])),
    ...p.maybe(p.one(['CH', 'NX'])),
    ...place(p),
    p.member,
  ],
  (p) => ['exact', 'GEOPOS', keyOf(p), ...p.many(() => p.member)],
  (p) => ['exact', 'GEOHASH', keyOf(p), ...p.many(() => p.member)],
  (p) => ['exact', 'GEODIST', keyOf(p), p.member, p.member, ...p.maybe(p.one(units))],
  (p) => ['unordered', 'GEOSEARCH', keyOf(p), ...from(p), ...shape(p), ...shown(p)],
  (p) => ['exact', 'GEOSEARCH', keyOf(p), ...from(p), ...shape(p), p.one(['ANY', 'STOREDIST', 'COUNT', 'FROMMEMBER', 'BYBOX'])],
  (p) => ['unordered', p.one(['GEORADIUS', 'GEORADIUS_RO']), keyOf(p), ...centre(p), length(p), p.one(units), ...shown(p)],
  (p) => ['kind', 'GEORADIUS', keyOf(p), ...place(p), '10', 'km'],
  (p) => [
    'unordered',
    p.one(['GEORADIUSBYMEMBER', 'GEORADIUSBYMEMBER_RO']),
    keyOf(p),
    p.member,
    length(p),
    p.one(units),
    ...shown(p),
  ],
  (p) => [
    'exact',
    'GEORADIUSBYMEMBER',
    keyOf(p),
    p.member,
    length(p),
    'km',
    p.one(['STORE', 'STOREDIST']),
    keyOf(p),
    ...p.maybe('WITHDIST'),
  ],
  (p) => [
    'exact',
    'GEOSEARCHSTORE',
    keyOf(p),
    keyOf(p),
    ...from(p),
    ...shape(p),
    ...p.maybe('STOREDIST'),
    ...p.maybe('WITHHASH'),
  ],
  (p) => ['exact', 'ZRANGE', keyOf(p), '0', '-1', 'WITHSCORES'],
  (p) => ['exact', 'PFADD', logOf(p), ...p.maybe(...p.many(() => p.one([p.member, p.value, p.integer]), 20))],
  (p) => ['exact', 'PFADD', logOf(p), ...Array.from({ length: 200 }, () => `element ${p.below(5000)}`)],
  (p) => ['exact', 'PFCOUNT', ...p.many(() => logOf(p))],
  (p) => ['exact', 'PFMERGE', logOf(p), ...p.maybe(...p.many(() => logOf(p)))],
  (p) => ['exact', 'STRLEN', logOf(p)],
]
