/**
 * The same requests to AnyMQ and to the broker whose protocol it speaks, answers compared.
 *
 *   npm run test:differential -- kafka [WORDS OF THE CASES]    starts both (the real one is fetched first; see bench/peers)
 *   npm run test:differential -- amqp [SEEDS]                  random commands of these seeds (1001 …: exchanges of plug-ins, 2001 …: streams), or 60 of them
 *   npm run test:differential -- nats [WORDS OF THE CONVERSATIONS]   made up of seeds: "generated 7", "core 100-200"
 *   npm run test:differential -- mqtt [WORDS OF THE CASES]     packets, malformed ones too, and conversations
 *   npm run test:differential -- beanstalkd [SEEDS]            random conversations
 *   npm run test:differential -- redis [SEEDS]                 random commands of these seeds, or of 1 to 300
 *   npm run test:differential -- nsq [SEEDS]                   random conversations with nsqd, its HTTP included
 *   PEER=host:port npm run test:differential -- kafka          compares with one that runs, and is fresh
 *
 * Every difference is either expected, with a reason (expected.ts of the protocol), or a failure. Without the real broker nothing is compared, and
 * the run says so and fails.
 */
import { requireNode24, startAnyMQ } from '../interop/anymq.ts'
import { compareAmqp } from './amqp/compare-amqp.ts'
import { exchangePlugins } from './amqp/plugin-commands.ts'
import { compareBeanstalkd } from './beanstalkd/compare-beanstalkd.ts'
import { compareKafka } from './kafka/compare-kafka.ts'
import { compareMqtt } from './mqtt/compare-mqtt.ts'
import { compareNats } from './nats/compare-nats.ts'
import { compareNsq } from './nsq/compare-nsq.ts'
import { startPeer } from './peer.ts'
import { compareRedis } from './redis/compare-redis.ts'

requireNode24()
const compare = {
  kafka: { peer: 'kafka', ports: [9092, 9093], environment: {}, run: compareKafka },
  amqp: { peer: 'rabbitmq', ports: [5672, 5673], environment: { PLUGINS: exchangePlugins.join(',') }, run: compareAmqp },
  mqtt: { peer: 'mosquitto', ports: [1883], environment: {}, run: compareMqtt },
  nats: { peer: 'nats', ports: [4222], environment: {}, run: compareNats },
  beanstalkd: { peer: 'beanstalkd', ports: [11300], environment: { DURABILITY: 'none' }, run: compareBeanstalkd },
  nsq: { peer: 'nsq', ports: [4150, 4151], environment: {}, run: compareNsq },
  redis: { peer: 'redis', ports: [6379], environment: {}, run: compareRedis },
} as const
const [protocol = '', ...words] = process.argv.slice(2).filter((word) => !word.startsWith('--'))
if (!(protocol in compare)) {
  console.error(`usage: npm run test:differential -- ${Object.keys(compare).join(' | ')} [WORDS OF THE CASES, OR SEEDS]`)
  process.exit(2)
}
const chosen = protocol as keyof typeof compare // checked above
const { peer: name, ports, environment, run } = compare[chosen]

const peer = await startPeer(name, ports, environment)
const broker = await startAnyMQ()
try {
  const amqp = new URL(broker.amqp.replace('amqp:', 'http:')).host
  const { kafka, mqtt, nats, beanstalkd, redis, nsq } = broker
  const own = { kafka, amqp, mqtt, nats, beanstalkd, redis, nsq }[chosen]
  const failures = await run(peer.port, Number(own.split(':')[1]), words)
  process.exitCode = failures === 0 ? 0 : 1
} finally {
  await broker.stop()
  await peer.stop()
}
process.exit()
