/** The statistics for people. */
import type { ChannelView, ClientView, Statistics, TopicView } from './stats.ts'

export function statisticsText(stats: Statistics, now: number): string {
  const startedAt = new Date(stats.start_time * 1000).toISOString().replace('.000', '')
  const lines = [
    `nsqd v${stats.version}`,
    `start_time ${startedAt}`,
    `uptime ${duration(now / 1000 - stats.start_time)}`,
    '',
    `Health: ${stats.health}`,
  ]
  if (stats.memory !== undefined) {
    lines.push('', 'Memory:')
    for (const [name, value] of Object.entries(stats.memory)) lines.push(`   ${name.padEnd(25)}\t${value}`)
  }
  const topics = stats.topics ?? []
  lines.push('', topics.length === 0 ? 'Topics: None' : 'Topics:')
  for (const topic of topics) lines.push(...topicLines(topic, now))
  const producers = stats.producers ?? []
  lines.push('', producers.length === 0 ? 'Producers: None' : 'Producers:')
  for (const producer of producers) lines.push(`   ${clientLine(producer, now)}`)
  return `${lines.join('\n')}\n`
}

function topicLines(topic: TopicView, now: number): string[] {
  const counts = [
    `depth: ${left(topic.depth, 5)}`,
    `be-depth: ${left(topic.backend_depth, 5)}`,
    `msgs: ${left(topic.message_count, 8)}`,
  ]
  const head = `${topic.paused ? '*P ' : '   '}[${topic.topic_name.padEnd(15)}] ${counts.join(' ')} e2e%: `
  return [head, ...topic.channels.flatMap((channel) => channelLines(channel, now))]
}

function channelLines(channel: ChannelView, now: number): string[] {
  const counts = [
    `depth: ${left(channel.depth, 5)}`,
    `be-depth: ${left(channel.backend_depth, 5)}`,
    `inflt: ${left(channel.in_flight_count, 4)}`,
    `def: ${left(channel.deferred_count, 4)}`,
    `re-q: ${left(channel.requeue_count, 5)}`,
    `timeout: ${left(channel.timeout_count, 5)}`,
    `msgs: ${left(channel.message_count, 8)}`,
  ]
  const head = `${channel.paused ? '   *P ' : '      '}[${channel.channel_name.padEnd(25)}] ${counts.join(' ')} e2e%: `
  return [head, ...channel.clients.map((client) => `        ${clientLine(client, now)}`)]
}

function clientLine(client: ClientView, now: number): string {
  const port = client.remote_address.replace(/^.*:/, '')
  const who = `[V2 ${`${client.hostname}:${port} ${client.user_agent}`.padEnd(21)}]`
  const connected = `connected: ${duration(Math.floor(now / 1000) - client.connect_ts)}`
  if (client.pub_counts !== undefined) {
    const total = client.pub_counts.reduce((sum, { count }) => sum + count, 0)
    const topics = client.pub_counts.map(({ topic, count }) => `${topic}=${count}`).join(',')
    return `${who} msgs: ${left(total, 8)} topics: ${topics} ${connected}`
  }
  const counts = [
    `state: ${client.state}`,
    `inflt: ${left(client.in_flight_count, 4)}`,
    `rdy: ${left(client.ready_count, 4)}`,
    `fin: ${left(client.finish_count, 8)}`,
    `re-q: ${left(client.requeue_count, 8)}`,
    `msgs: ${left(client.message_count, 8)}`,
  ]
  return `${who} ${counts.join(' ')} ${connected}`
}

const left = (value: number, width: number): string => String(value).padEnd(width)

/** As `1h2m3s`. */
function duration(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const hours = Math.floor(whole / 3600)
  const minutes = Math.floor((whole % 3600) / 60)
  return `${hours > 0 ? `${hours}h` : ''}${whole >= 60 ? `${minutes}m` : ''}${whole % 60}s`
}
