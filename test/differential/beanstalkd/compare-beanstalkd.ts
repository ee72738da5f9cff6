/**
 * The same random commands of three clients to both servers, a command at a time, answers compared. Ids differ and are told as the how-manieth job
 * of the conversation. Stops a conversation at its first difference.
 */
import { BeanstalkClient } from '../../../src/protocols/beanstalkd/client.testing.ts'
import { Random } from '../../simulation/disk.ts'

const conversations = 60
const commandsEach = 150
const clients = 3
const tubes = ['default', 'a', 'b'] as const
const priorities = [0, 1, 1023, 1024, 4_294_967_295] as const
const badCommands = [
  'put 1 2 3',
  'put a 0 1 1',
  'put 4294967296 0 1 1',
  'put 0 0 1 1 junk',
  `put 0 0 1 70000\r\n${'y'.repeat(70_000)}`,
  'nonsense',
  'delete x',
  'reserve 5',
  'use -a',
  'use',
  'kick x',
  'pause-tube zz 0',
  'x'.repeat(300),
  'stats-tube nothere',
  `watch ${'q'.repeat(201)}`,
  'release 1 1',
  'peek-readyx',
  'touch -1',
  '',
  'statsx',
] as const

/** `%` stands for the id of a job. */
function nextCommand(random: Random): string {
  const of = <T>(list: readonly T[]): T => list[random.below(list.length)] as T // not empty
  const pri = of(priorities)
  const delay = of([0, 0, 0, 1000])
  const body = 'x'.repeat(random.below(20))
  const choices: readonly (readonly [weight: number, command: string])[] = [
    [6, `put ${pri} ${delay} 1000 ${body.length}\r\n${body}`],
    [6, 'reserve-with-timeout 0'],
    [3, 'delete %'],
    [2, `release % ${pri} ${delay}`],
    [2, `bury % ${pri}`],
    [1, `kick ${1 + random.below(3)}`],
    [1, 'kick-job %'],
    [1, 'touch %'],
    [1, 'peek %'],
    [1, 'reserve-job %'],
    [1, 'stats-job %'],
    [1, 'peek-ready'],
    [1, 'peek-buried'],
    [1, 'peek-delayed'],
    [1, `stats-tube ${of(tubes)}`],
    [1, 'stats'],
    [1, 'list-tubes'],
    [1, 'list-tubes-watched'],
    [1, 'list-tube-used'],
    [1, `use ${of(tubes)}`],
    [1, `watch ${of(tubes)}`],
    [1, `ignore ${of(tubes)}`],
    [1, of(badCommands)],
  ]
  let at = random.below(choices.reduce((sum, [weight]) => sum + weight, 0))
  for (const [weight, command] of choices) {
    at -= weight
    if (at < 0) return command
  }
  return 'stats'
}

/** One server, with what its ids stand for. */
class Side {
  readonly #port: number
  readonly #clients: BeanstalkClient[] = []
  /** The id of each job of this conversation, in the order in which they were put. */
  readonly #ids: string[] = []

  constructor(port: number) {
    this.#port = port
  }

  async open(): Promise<void> {
    for (let index = 0; index < clients; index++) {
      const client = await BeanstalkClient.connected(this.#port)
      // An answer says that the server has it among its connections.
      await client.ask('list-tube-used')
      this.#clients.push(client)
    }
  }

  get jobs(): number {
    return this.#ids.length
  }

  async run(client: number, command: string, job: number): Promise<string> {
    const answer = (await this.#clients[client]?.ask(command.replace('%', this.#ids[job] ?? '99999999'))) ?? ''
    const put = /^INSERTED (\d+)$/.exec(answer)?.[1]
    if (put !== undefined) this.#ids.push(put)
    return this.#neutral(command, answer)
  }

  #neutral(command: string, answer: string): string {
    const named = answer.replace(
      /^((?:RESERVED|FOUND|INSERTED|BURIED) |OK \d+ ---\nid: )(\d+)/,
      (_, before: string, id: string) => `${before}#${this.#ids.indexOf(id)}`,
    )
    if (!named.startsWith('OK ')) return named
    // Sizes, times, and what each server counts on its own; older versions put no quotes.
    const text = named
      .replace(/^OK \d+/, 'OK')
      .replaceAll('"', '')
      .replace(
        /^(pid|version|rusage-.time|uptime|hostname|os|platform|binlog.*|total-connections|total-jobs|cmd-.*|age|time-left|pause-time-left): .*$/gm,
        '$1: *',
      )
    if (command === 'stats') return text.replace(/^id: .*$/m, 'id: *')
    return command.startsWith('list-tubes') ? text.split('\n').sort().join('\n') : text
  }

  async clean(): Promise<void> {
    for (const id of this.#ids) for (const client of this.#clients) await client.ask(`delete ${id}`)
    for (const client of this.#clients) client.close()
    // Until the server has noticed.
    const last = await BeanstalkClient.connected(this.#port)
    for (const deadline = Date.now() + 5000; Date.now() < deadline; )
      if ((await last.stats('stats'))['current-connections'] === '1') break
    last.close()
  }
}

/** Resolves to how many conversations differed. */
export async function compareBeanstalkd(peerPort: number, ownPort: number, words: readonly string[]): Promise<number> {
  const seeds = words.length > 0 ? words.map(Number) : Array.from({ length: conversations }, (_, index) => index + 1)
  let failures = 0
  let commands = 0
  for (const seed of seeds) {
    const random = new Random(seed)
    const [theirs, ours] = [new Side(peerPort), new Side(ownPort)]
    await theirs.open()
    await ours.open()
    const said: string[] = []
    for (let step = 0; step < commandsEach; step++) {
      const [client, command] = [random.below(clients), nextCommand(random)]
      const job = random.below(Math.max(1, ours.jobs))
      said.push(`${client}: ${command.slice(0, 60).replaceAll('\r\n', ' ')} ${command.includes('%') ? `#${job}` : ''}`)
      const [left, right] = [await theirs.run(client, command, job), await ours.run(client, command, job)]
      commands++
      if (left === right) continue
      failures++
      console.log(
        `✖ seed ${seed}, command ${step + 1}\n    ${said.slice(-8).join('\n    ')}\n  theirs: ${left}\n  ours: ${right}`,
      )
      break
    }
    await theirs.clean()
    await ours.clean()
  }
  console.log(`${seeds.length - failures} of ${seeds.length} conversations agree (${commands} commands)`)
  return failures
}
