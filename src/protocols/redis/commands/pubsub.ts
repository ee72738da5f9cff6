/** SUBSCRIBE and its kin, PUBLISH, PUBSUB. */
import { Glob, text } from '../arguments.ts'
import { type Call, type Command, command } from '../command.ts'
import { RedisError } from '../errors.ts'

type Kind = 'channel' | 'pattern' | 'shard'

const prefixes = { channel: '', pattern: 'p', shard: 's' } as const

/** [subscribe, name, how many now]: one for each name, as a push in RESP3. */
function confirm({ client }: Call, kind: Kind, verb: 'subscribe' | 'unsubscribe', name: string | null): void {
  const { reply } = client
  reply.push(3)
  reply.bulk(prefixes[kind] + verb)
  if (name === null) reply.nil()
  else reply.bulk(name)
  reply.integer(kind === 'shard' ? client.shardChannels.size : client.channels.size + client.patterns.size)
}

const subscribe =
  (kind: Kind) =>
  (call: Call): void => {
    const { args, client, server } = call
    for (const arg of args.slice(1)) {
      const name = text(arg)
      if (kind === 'pattern') server.pubsub.subscribePattern(client, name)
      else server.pubsub.subscribe(client, name, kind === 'shard')
      confirm(call, kind, 'subscribe', name)
    }
  }

const unsubscribe =
  (kind: Kind) =>
  (call: Call): void => {
    const { args, client, server } = call
    const present = kind === 'pattern' ? client.patterns : kind === 'shard' ? client.shardChannels : client.channels
    const names = args.length > 1 ? args.slice(1).map(text) : [...present]
    if (names.length === 0) return confirm(call, kind, 'unsubscribe', null)
    for (const name of names) {
      if (kind === 'pattern') server.pubsub.unsubscribePattern(client, name)
      else server.pubsub.unsubscribe(client, name, kind === 'shard')
      confirm(call, kind, 'unsubscribe', name)
    }
  }

function publish({ request, client, server, reply }: Call): void {
  if (client.space === null) throw new RedisError('NOAUTH Authentication required.')
  reply.integer(server.pubsub.publish(client.space, request.text(1), request.bytes(2)))
}

function publishToShard({ args, client, server, reply }: Call): void {
  if (client.space === null) throw new RedisError('NOAUTH Authentication required.')
  reply.integer(server.pubsub.publishToShard(client.space.principal, text(args[1]), args[2] as Buffer))
}

function channels({ args, server, reply }: Call, shard: boolean): void {
  const found = server.pubsub.channels(args.length > 2 ? new Glob(text(args[2])) : null, shard)
  reply.array(found.length)
  for (const channel of found) reply.bulk(channel)
}

function subscribers({ args, server, reply }: Call, shard: boolean): void {
  reply.array((args.length - 2) * 2)
  for (const arg of args.slice(2)) {
    const channel = text(arg)
    reply.bulk(channel)
    reply.integer(server.pubsub.subscribers(channel, shard))
  }
}

export const pubsubCommands: readonly Command[] = [
  command('pubsub', 'subscribe', -2, 'pubsub noscript', null, subscribe('channel')),
  command('pubsub', 'psubscribe', -2, 'pubsub noscript', null, subscribe('pattern')),
  command('pubsub', 'ssubscribe', -2, 'pubsub noscript', null, subscribe('shard')),
  command('pubsub', 'unsubscribe', -1, 'pubsub noscript', null, unsubscribe('channel')),
  command('pubsub', 'punsubscribe', -1, 'pubsub noscript', null, unsubscribe('pattern')),
  command('pubsub', 'sunsubscribe', -1, 'pubsub noscript', null, unsubscribe('shard')),
  command('pubsub', 'publish', 3, 'pubsub fast', null, publish),
  command('pubsub', 'spublish', 3, 'pubsub fast', null, publishToShard),
  command('pubsub', 'pubsub|channels', -2, 'pubsub', null, (call) => channels(call, false)),
  command('pubsub', 'pubsub|numsub', -2, 'pubsub', null, (call) => subscribers(call, false)),
  command('pubsub', 'pubsub|numpat', 2, 'pubsub', null, ({ server, reply }) => reply.integer(server.pubsub.patterns)),
  command('pubsub', 'pubsub|shardchannels', -2, 'pubsub', null, (call) => channels(call, true)),
  command('pubsub', 'pubsub|shardnumsub', -2, 'pubsub', null, (call) => subscribers(call, true)),
]
