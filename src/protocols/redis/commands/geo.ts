/** GEOADD and its kin: sorted sets of places. What is asked for is looked for among all members, in the order of their scores. */
import type { Reply } from '../../../lib/resp/reply.ts'
import { float, integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import type { Database } from '../database.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { distance, geohashOf, isInBox, isPlace, type Place, placeOf, scoreOf } from '../geohash.ts'
import { SortedSet } from '../sorted-set.ts'
import { storeSorted } from './sorted-ranges.ts'

const metres: Readonly<Record<string, number>> = { M: 1, KM: 1000, FT: 0.3048, MI: 1609.34 }

function unit(arg: Buffer | undefined): number {
  const found = metres[option(arg)]
  if (found === undefined) throw new RedisError('ERR unsupported unit provided. please use M, KM, FT, MI')
  return found
}

function place(longitude: Buffer | undefined, latitude: Buffer | undefined): Place {
  const found = { longitude: float(longitude), latitude: float(latitude) }
  if (!isPlace(found))
    throw new RedisError(`ERR invalid longitude,latitude pair ${found.longitude.toFixed(6)},${found.latitude.toFixed(6)}`)
  return found
}

function add({ args, db, reply }: Call): void {
  const key = text(args[1])
  const words = new Set<string>()
  let from = 2
  for (; ['NX', 'XX', 'CH'].includes(option(args[from])); from++) words.add(option(args[from]))
  if (args.length === from || (args.length - from) % 3 !== 0 || (words.has('NX') && words.has('XX'))) throw syntaxError()
  // All places are read before anything is changed.
  const places: Place[] = []
  for (let at = from; at < args.length; at += 3) places.push(place(args[at], args[at + 1]))
  db.sortedSet(key)
  let added = 0
  let changed = 0
  for (const [index, each] of places.entries()) {
    const member = text(args[from + index * 3 + 2])
    const score = scoreOf(each)
    const present = db.sortedSet(key)?.score(member)
    if (present === score || (present === undefined ? words.has('XX') : words.has('NX'))) continue
    if (db.sortedAdd(key, member, score)) added++
    else changed++
  }
  if (added + changed > 0) db.notify('z', 'zadd', key)
  reply.integer(words.has('CH') ? added + changed : added)
}

/** Degrees with 17 digits behind the point at most. */
const replyDegrees = (reply: Reply, degrees: number): void => {
  const shown = degrees.toFixed(17).replace(/\.?0+$/, '')
  reply.double(degrees, shown)
}

function replyPlace(reply: Reply, { longitude, latitude }: Place): void {
  reply.array(2)
  replyDegrees(reply, longitude)
  replyDegrees(reply, latitude)
}

function positions({ args, db, reply }: Call): void {
  const sorted = db.sortedSet(text(args[1]))
  reply.array(args.length - 2)
  for (const member of args.slice(2)) {
    const score = sorted?.score(text(member))
    if (score === undefined) reply.nilArray()
    else replyPlace(reply, placeOf(score))
  }
}

function hashes({ args, db, reply }: Call): void {
  const sorted = db.sortedSet(text(args[1]))
  reply.array(args.length - 2)
  for (const member of args.slice(2)) {
    const score = sorted?.score(text(member))
    if (score === undefined) reply.nil()
    else reply.bulk(geohashOf(score))
  }
}

function distanceBetween({ args, db, reply }: Call): void {
  if (args.length > 5) throw syntaxError()
  const per = args.length === 5 ? unit(args[4]) : 1
  const sorted = db.sortedSet(text(args[1]))
  const [one, other] = [sorted?.score(text(args[2])), sorted?.score(text(args[3]))]
  if (one === undefined || other === undefined) reply.nil()
  else reply.bulk((distance(placeOf(one), placeOf(other)) / per).toFixed(4))
}

// -------------------------------------------------------------------------------------------------------------------- searching

interface Shape {
  readonly per: number
  /** m; of a box, null. */
  readonly radius: number | null
  readonly width: number
  readonly height: number
}

interface Search {
  /** Where it is looked for; undefined: there is no such key. */
  readonly source: SortedSet | undefined
  centre: Place | null
  shape: Shape | null
  order: 'asc' | 'desc' | null
  /** 0: all. */
  count: number
  any: boolean
  withPlace: boolean
  withDistance: boolean
  withHash: boolean
  storeAt: string | null
  storesDistance: boolean
  /** What is told of a key that it was stored at. */
  readonly event: string
}

const emptySearch = (source: SortedSet | undefined, event: string): Search => ({
  source,
  centre: null,
  shape: null,
  order: null,
  count: 0,
  any: false,
  withPlace: false,
  withDistance: false,
  withHash: false,
  storeAt: null,
  storesDistance: false,
  event,
})

function circle(radius: Buffer | undefined, of: Buffer | undefined): Shape {
  const value = float(radius, 'ERR need numeric radius')
  if (value < 0) throw new RedisError('ERR radius cannot be negative')
  const per = unit(of)
  return { per, radius: value * per, width: 0, height: 0 }
}

function box(args: readonly Buffer[], at: number): Shape {
  const width = float(args[at], 'ERR need numeric width')
  const height = float(args[at + 1], 'ERR need numeric height')
  if (width < 0 || height < 0) throw new RedisError('ERR height or width cannot be negative')
  const per = unit(args[at + 2])
  return { per, radius: null, width: width * per, height: height * per }
}

/** GEORADIUS takes STORE and STOREDIST, GEOSEARCH the shape and where it is, GEOSEARCHSTORE STOREDIST as a flag. */
type Form = 'radius' | 'radius_ro' | 'search' | 'store'

function readOptions(args: readonly Buffer[], from: number, form: Form, search: Search): void {
  const searches = form === 'search' || form === 'store'
  for (let at = from; at < args.length; at++) {
    const word = option(args[at])
    const left = args.length - 1 - at
    if (word === 'WITHDIST') search.withDistance = true
    else if (word === 'WITHHASH') search.withHash = true
    else if (word === 'WITHCOORD') search.withPlace = true
    else if (word === 'ANY') search.any = true
    else if (word === 'ASC') search.order = 'asc'
    else if (word === 'DESC') search.order = 'desc'
    else if (word === 'COUNT' && left > 0) {
      search.count = integer(args[++at])
      if (search.count <= 0) throw new RedisError('ERR COUNT must be > 0')
    } else if ((word === 'STORE' || word === 'STOREDIST') && left > 0 && form === 'radius') {
      search.storeAt = text(args[++at])
      search.storesDistance = word === 'STOREDIST'
    } else if (word === 'STOREDIST' && form === 'store') search.storesDistance = true
    else if (word === 'FROMMEMBER' && left > 0 && searches && search.centre === null)
      search.centre = placeOfMember(search.source, args[++at])
    else if (word === 'FROMLONLAT' && left > 1 && searches && search.centre === null)
      search.centre = place(args[++at], args[++at])
    else if (word === 'BYRADIUS' && left > 1 && searches && search.shape === null) search.shape = circle(args[++at], args[++at])
    else if (word === 'BYBOX' && left > 2 && searches && search.shape === null) {
      search.shape = box(args, at + 1)
      at += 3
    } else throw syntaxError()
  }
  const name = option(args[0])
  if (search.storeAt !== null && (search.withDistance || search.withHash || search.withPlace))
    throw new RedisError(
      `ERR ${form === 'store' ? name : 'STORE option in GEORADIUS'} is not compatible with WITHDIST, WITHHASH and WITHCOORD options`,
    )
  if (searches && search.centre === null)
    throw new RedisError(`ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ${text(args[0])}`)
  if (searches && search.shape === null)
    throw new RedisError(`ERR exactly one of BYRADIUS and BYBOX can be specified for ${text(args[0])}`)
  if (search.any && search.count === 0) throw new RedisError('ERR the ANY argument requires COUNT argument')
}

/** Throws where the key has no such member. Without the key there is nothing to find, wherever. */
function placeOfMember(source: SortedSet | undefined, member: Buffer | undefined): Place {
  if (source === undefined) return nowhere
  const score = source.score(text(member))
  if (score === undefined) throw new RedisError('ERR could not decode requested zset member')
  return placeOf(score)
}

const nowhere: Place = { longitude: 0, latitude: 0 }

interface Found {
  readonly member: string
  readonly score: number
  readonly place: Place
  /** m. */
  readonly distance: number
}

function find(sorted: SortedSet, search: Search, centre: Place, { radius, width, height }: Shape): Found[] {
  const found: Found[] = []
  sorted.range(0, sorted.length - 1, false, (member, score) => {
    if (search.any && found.length === search.count) return
    const at = placeOf(score)
    const away = distance(centre, at)
    if (radius === null ? isInBox(centre, at, width, height) : away <= radius)
      found.push({ member, score, place: at, distance: away })
  })
  // To count is to count the nearest.
  const order = search.order ?? (search.count > 0 && !search.any ? 'asc' : null)
  if (order !== null)
    found.sort((one, other) => (order === 'asc' ? one.distance - other.distance : other.distance - one.distance))
  return search.count > 0 ? found.slice(0, search.count) : found
}

function run({ db, reply }: Call, search: Search): void {
  const { source } = search
  if (source === undefined) {
    if (search.storeAt === null) return reply.array(0)
    storeSorted(db, search.storeAt, new SortedSet(), search.event)
    return reply.integer(0)
  }
  const shape = search.shape as Shape // these were asked for
  const found = find(source, search, search.centre as Place, shape)
  if (search.storeAt !== null) return store(db, reply, search, search.storeAt, shape, found)
  const more = Number(search.withDistance) + Number(search.withHash) + Number(search.withPlace)
  reply.array(found.length)
  for (const each of found) {
    if (more > 0) reply.array(more + 1)
    reply.bulk(each.member)
    if (search.withDistance) reply.bulk((each.distance / shape.per).toFixed(4))
    if (search.withHash) reply.integer(each.score)
    if (search.withPlace) replyPlace(reply, each.place)
  }
}

function store(db: Database, reply: Reply, search: Search, target: string, { per }: Shape, found: readonly Found[]): void {
  const result = new SortedSet()
  for (const { member, score, distance: away } of found) result.add(member, search.storesDistance ? away / per : score)
  storeSorted(db, target, result, search.event)
  reply.integer(result.length)
}

function searchPlaces(call: Call): void {
  const { args, db } = call
  const search = emptySearch(db.sortedSet(text(args[1])), '')
  readOptions(args, 2, 'search', search)
  run(call, search)
}

function searchAndStore(call: Call): void {
  const { args, db } = call
  const search = emptySearch(db.sortedSet(text(args[2])), 'geosearchstore')
  search.storeAt = text(args[1])
  readOptions(args, 3, 'store', search)
  run(call, search)
}

const byRadius =
  (form: Form, byMember: boolean) =>
  (call: Call): void => {
    const { args, db } = call
    const search = emptySearch(db.sortedSet(text(args[1])), 'georadiusstore')
    const at = byMember ? 3 : 4
    search.centre = byMember ? placeOfMember(search.source, args[2]) : place(args[2], args[3])
    // Without a key Redis does not look at the radius around a member.
    if (!byMember || search.source !== undefined) search.shape = circle(args[at], args[at + 1])
    readOptions(args, at + 2, form, search)
    run(call, search)
  }

/** The key, and behind STORE or STOREDIST another one. */
function radiusKeys(args: readonly Buffer[]): readonly number[] {
  const at = args.findIndex((arg, index) => index >= 5 && ['STORE', 'STOREDIST'].includes(option(arg)))
  return at > 0 && at + 1 < args.length ? [1, at + 1] : [1]
}

const one = [1, 1, 1] as const

export const geoCommands: readonly Command[] = [
  command('geo', 'geoadd', -5, 'write denyoom', one, add),
  command('geo', 'geopos', -2, 'readonly', one, positions),
  command('geo', 'geohash', -2, 'readonly', one, hashes),
  command('geo', 'geodist', -4, 'readonly', one, distanceBetween),
  command('geo', 'geosearch', -7, 'readonly', one, searchPlaces),
  command('geo', 'geosearchstore', -8, 'write denyoom', [1, 2, 1], searchAndStore),
  command('geo', 'georadius', -6, 'write denyoom', radiusKeys, byRadius('radius', false)),
  command('geo', 'georadius_ro', -6, 'readonly', one, byRadius('radius_ro', false)),
  command('geo', 'georadiusbymember', -5, 'write denyoom', radiusKeys, byRadius('radius', true)),
  command('geo', 'georadiusbymember_ro', -5, 'readonly', one, byRadius('radius_ro', true)),
]
