/** `eval $(anymq env)`: what clients of each protocol look for in their environment. Computed from the same settings as `serve`, so no broker has to run. */
import { protocolsToOpen, protocolTable } from '../../protocols/table.ts'
import type { ParsedArguments } from '../arguments.ts'
import type { Command } from '../command.ts'
import { portOf, resolveSettings, type Settings, settingsOptions } from '../settings.ts'

export const command: Command = {
  name: 'env',
  usage: '[OPTIONS OF serve]',
  summary: 'Print export lines for a shell: eval $(anymq env). Give it the same options as serve.',
  options: settingsOptions,
  run: async (parsed: ParsedArguments) => {
    for (const [name, value] of clientEnvironment(resolveSettings(parsed, process.env)))
      process.stdout.write(`export ${name}='${value}'\n`)
    return 0
  },
}

/** By protocol: the variables its clients and their tutorials use. */
const variablesByProtocol: Readonly<Record<string, (host: string, port: number) => [string, string][]>> = {
  kafka: (host, port) => [['KAFKA_BOOTSTRAP_SERVERS', `${host}:${port}`]],
  stomp: (host, port) => [['STOMP_URL', `stomp://${host}:${port}`]],
  amqp: (host, port) => [
    ['AMQP_URL', `amqp://${host}:${port}`],
    ['RABBITMQ_URL', `amqp://${host}:${port}`],
  ],
  'schema-registry': (host, port) => [['SCHEMA_REGISTRY_URL', `http://${host}:${port}`]],
  'kafka-rest': (host, port) => [['KAFKA_REST_URL', `http://${host}:${port}`]],
  mqtt: (host, port) => [['MQTT_URL', `mqtt://${host}:${port}`]],
  redis: (host, port) => [['REDIS_URL', `redis://${host}:${port}`]],
  nats: (host, port) => [['NATS_URL', `nats://${host}:${port}`]],
  beanstalkd: (host, port) => [['BEANSTALKD_URL', `beanstalkd://${host}:${port}`]],
  disque: (host, port) => [['DISQUE_NODES', `${host}:${port}`]],
  nsq: (host, port) => [['NSQD_TCP_ADDRESS', `${host}:${port}`]],
  sqs: (host, port) => [
    ['AWS_ENDPOINT_URL_SQS', `http://${host}:${port}`],
    ['AWS_ENDPOINT_URL_SNS', `http://${host}:${port}`],
  ],
  'rabbitmq-stream': (host, port) => [['RABBITMQ_STREAM_URI', `rabbitmq-stream://${host}:${port}`]],
}

function clientEnvironment(settings: Settings): [string, string][] {
  const host = reachableHost(settings.host)
  const lines: [string, string][] = [['ANYMQ_URL', `http://${host}:${portOf(settings, 'http')}`]]
  const open = protocolsToOpen(settings.only, settings.enable)
  for (const entry of protocolTable) {
    if (!open.includes(entry.name)) continue
    const variables = variablesByProtocol[entry.name]
    const listener = entry.listeners[0]
    if (variables !== undefined && listener !== undefined) lines.push(...variables(host, portOf(settings, listener.name)))
  }
  return lines
}

/** Where a client on this machine reaches a listener bound to `host`. */
function reachableHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
