/**
 * DUMP and RESTORE of private types. The form is our own, versioned and with a checksum like that of Redis, but not Redis's: what is dumped here comes back
 * here. A dump of Redis is refused in Redis's words.
 */
import { crc32 } from 'node:zlib'
import { integer, option, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { Database, type DatabaseHost, type Value } from '../database.ts'
import { EffectLog, repeatEffects } from '../effects.ts'
import { RedisError, syntaxError } from '../errors.ts'
import { copyOf } from './keys.ts'

const version = Buffer.from('aq\x01', 'latin1')
const checksumBytes = 4
/** By this name a dumped key stands in its effects. */
const dumpedKey = 'k'

const badPayload = (): RedisError => new RedisError('ERR DUMP payload version or checksum are wrong')

function dump(call: Call): void {
  const { args, db, reply } = call
  const key = text(args[1])
  const value = db.get(key)
  if (value === undefined) {
    const provider = db.provider(key)
    if (provider === undefined) return reply.nil()
    if (provider.dump === undefined) throw new RedisError(`ERR a ${provider.type} cannot be dumped`)
    return provider.dump(db, key, call.defer())
  }
  const log = new EffectLog()
  log.recording = true
  log.whole(0, dumpedKey, value, 0)
  const body = Buffer.concat([version, ...log.take().flatMap((entry) => [lengthOf(entry), entry])])
  const checksum = Buffer.alloc(checksumBytes)
  checksum.writeUInt32LE(crc32(body))
  reply.bulk(Buffer.concat([body, checksum]))
}

function lengthOf(entry: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(entry.length)
  return length
}

/** Throws where it is no dump of this server. */
function readDump(payload: Buffer): Value {
  const end = payload.length - checksumBytes
  if (end < version.length || !payload.subarray(0, version.length).equals(version)) throw badPayload()
  if (payload.readUInt32LE(end) !== crc32(payload.subarray(0, end))) throw badPayload()
  const db = new Database(0, silentHost())
  try {
    for (let at = version.length; at < end; ) {
      const length = payload.readUInt32LE(at)
      repeatEffects(payload.subarray(at + 4, at + 4 + length), [db], () => undefined)
      at += 4 + length
    }
  } catch {
    throw new RedisError('ERR Bad data format')
  }
  const value = db.get(dumpedKey)
  if (value === undefined) throw new RedisError('ERR Bad data format')
  return value
}

/** For a database that nobody sees. */
const silentHost = (): DatabaseHost => ({
  now: 0,
  effects: new EffectLog(),
  providers: [],
  touched: () => undefined,
  ready: () => undefined,
  notify: () => undefined,
  expires: () => undefined,
  expired: () => undefined,
})

function restore({ args, db, reply, now }: Call): void {
  const key = text(args[1])
  let replace = false
  let absolute = false
  for (let at = 4; at < args.length; at++) {
    const word = option(args[at])
    if (word === 'REPLACE') replace = true
    else if (word === 'ABSTTL') absolute = true
    else if ((word === 'IDLETIME' || word === 'FREQ') && at + 1 < args.length) {
      // How long ago a key was used plays no part where none is evicted.
      if (integer(args[++at]) < 0) throw new RedisError(`ERR Invalid ${word} value, must be >= 0`)
    } else throw syntaxError()
  }
  const ttl = integer(args[2])
  if (ttl < 0) throw new RedisError('ERR Invalid TTL value, must be >= 0')
  if (db.exists(key) && !replace) throw new RedisError('BUSYKEY Target key name already exists.')
  const value = readDump(args[3] as Buffer)
  const expiresAt = ttl === 0 ? 0 : absolute ? ttl : now + ttl
  if (db.exists(key)) db.remove(key)
  if (expiresAt === 0 || expiresAt > now) {
    db.put(key, copyOf(value), expiresAt)
    db.ready(key)
    db.notify('g', 'restore', key)
  }
  reply.status('OK')
}

export const dumpCommands: readonly Command[] = [
  command('generic', 'dump', 2, 'readonly', [1, 1, 1], dump),
  command('generic', 'restore', -4, 'write denyoom', [1, 1, 1], restore),
]
