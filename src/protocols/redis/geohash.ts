/** Places on earth as scores of a sorted set: 26 bits of latitude and 26 of longitude, one of each in turn, as Redis has them; and distances in metres. */

export interface Place {
  readonly longitude: number
  readonly latitude: number
}

const bitsEach = 26
const cells = 2 ** bitsEach
const half = 2 ** (bitsEach / 2)
const longitudeMax = 180
/** As EPSG:3857 ends. */
export const latitudeMax = 85.05112878
const earthRadius = 6_372_797.560856
const alphabet = '0123456789bcdefghjkmnpqrstuvwxyz'

export const isPlace = ({ longitude, latitude }: Place): boolean =>
  Math.abs(longitude) <= longitudeMax && Math.abs(latitude) <= latitudeMax

/** One half of a coordinate; at the very edge of the world it has a bit more. */
const halfBits = bitsEach / 2 + 1

/** Bits at every second place. */
function spread(value: number): number {
  let spreaded = 0
  for (let bit = 0; bit < halfBits; bit++) spreaded |= ((value >> bit) & 1) << (2 * bit)
  return spreaded
}

function gather(value: number): number {
  let gathered = 0
  for (let bit = 0; bit < halfBits; bit++) gathered |= ((value >> (2 * bit)) & 1) << bit
  return gathered
}

function scoreWithin({ longitude, latitude }: Place, latitudeLimit: number): number {
  const x = Math.floor(((longitude + longitudeMax) / (2 * longitudeMax)) * cells)
  const y = Math.floor(((latitude + latitudeLimit) / (2 * latitudeLimit)) * cells)
  // Two halves: beyond 32 bits numbers have no bit operations.
  const high = spread(Math.floor(y / half)) + spread(Math.floor(x / half)) * 2
  const low = spread(y % half) + spread(x % half) * 2
  return high * cells + low
}

export const scoreOf = (place: Place): number => scoreWithin(place, latitudeMax)

/** The middle of a score's cell. */
export function placeOf(score: number): Place {
  const high = Math.floor(score / cells)
  const low = score % cells
  const y = gather(high) * half + gather(low)
  const x = gather(high >> 1) * half + gather(low >> 1)
  const middle = (cell: number, limit: number): number => {
    const from = -limit + (cell / cells) * 2 * limit
    const to = -limit + ((cell + 1) / cells) * 2 * limit
    return Math.max(-limit, Math.min(limit, (from + to) / 2))
  }
  return { longitude: middle(x, longitudeMax), latitude: middle(y, latitudeMax) }
}

/** As geohash.org writes it: with latitudes up to the poles, eleven letters. */
export function geohashOf(score: number): string {
  const bits = BigInt(scoreWithin(placeOf(score), 90))
  let text = ''
  for (let letter = 1; letter <= 10; letter++) text += alphabet[Number((bits >> BigInt(52 - letter * 5)) & 31n)]
  return `${text}0`
}

/** Distances are stored as scores, which clients compare exactly: the order of the steps is Redis's. */
const perDegree = Math.PI / 180
const radians = (degrees: number): number => degrees * perDegree

const latitudeDistance = (one: number, other: number): number => earthRadius * Math.abs(radians(other) - radians(one))

/** Along a great circle. */
export function distance(one: Place, other: Place): number {
  const v = Math.sin((radians(other.longitude) - radians(one.longitude)) / 2)
  if (v === 0) return latitudeDistance(one.latitude, other.latitude)
  const u = Math.sin((radians(other.latitude) - radians(one.latitude)) / 2)
  const a = u * u + Math.cos(radians(one.latitude)) * Math.cos(radians(other.latitude)) * v * v
  return 2 * earthRadius * Math.asin(Math.sqrt(a))
}

/** Whether a place lies within a box around a centre: measured along its own circle of latitude. */
export function isInBox(centre: Place, place: Place, width: number, height: number): boolean {
  if (latitudeDistance(place.latitude, centre.latitude) > height / 2) return false
  return distance(place, { longitude: centre.longitude, latitude: place.latitude }) <= width / 2
}
