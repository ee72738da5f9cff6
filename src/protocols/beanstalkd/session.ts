/**
 * One connection: a command at a time. Puts that follow one another are stored together, and commands that settle jobs do not wait for the disk one by one:
 * answers leave in the order of the commands (answers.ts). What the client waits for and has taken is in job-worker.ts, what commands do to jobs in server.ts.
 *
 * State: Command → Body (put) | Skipping (a body that is too large) | Answering (its answer comes later) → Command; Closed ends it.
 */
import { Buffer } from 'node:buffer'
import type { Broker, Session as BrokerSession, CloseCause, Connection, Principal } from '../../broker/face.ts'
import { Answers } from './answers.ts'
import { Arguments, Decoder, isTubeName } from './codec.ts'
import { type Command, commandOf } from './commands.ts'
import { answers } from './errors.ts'
import type { Job } from './job.ts'
import { JobWorker } from './job-worker.ts'
import { type NewJob, Server } from './server.ts'
import { jobYaml, listYaml, statsYaml, tubeYaml } from './stats.ts'
import type { Tube } from './tube.ts'

const namespace = 'default'
const crlfBytes = 2
/** Of puts that are not answered yet, and of answers that wait for others. */
const unansweredMax = 1000
const unansweredBytesMax = 4 * 1024 * 1024
/** Larger bodies are written as they are. */
const copiedBytesMax = 16 * 1024
/** What a client has sent ahead; then nothing more is read of it. */
const earlyBytesMax = 256 * 1024

const State = { Command: 0, Body: 1, Skipping: 2, Answering: 3, Closed: 4 } as const
type State = (typeof State)[keyof typeof State]

interface Incoming {
  readonly priority: number
  readonly delaySeconds: number
  readonly ttrSeconds: number
  readonly bytes: number
}

export class Session implements BrokerSession {
  readonly #connection: Connection
  readonly #server: Server
  readonly #decoder = new Decoder()
  readonly #worker: JobWorker
  #principal: Principal
  #state: State = State.Command
  #used: Tube
  #incoming: Incoming | null = null
  #toSkip = 0
  #isProducer = false
  #reading = false
  #isPaused = false
  /** It is being closed: nothing new is taken. */
  #ending = false
  /** Its client sends nothing more. */
  #isOver = false
  /** A command that waits until some before it are answered. */
  #line: string | null = null
  /** Puts of this turn. */
  #collected: NewJob[] = []
  #puts = 0
  #putBytes = 0
  readonly #answers: Answers

  constructor(connection: Connection, broker: Broker, principal: Principal) {
    this.#connection = connection
    this.#answers = new Answers(connection)
    this.#principal = principal
    this.#server = Server.of(broker)
    this.#used = this.#server.tubes.named('default')
    this.#used.using++
    this.#worker = new JobWorker(this.#server, this.#used, {
      reserved: (job, body) => this.#jobAnswer('RESERVED', job, body),
      gaveUp: (reason) => this.#answerLater(reason),
    })
    this.#server.counters.connections++
    this.#server.counters.totalConnections++
  }

  onBytes(chunk: Buffer): void {
    if (this.#state === State.Closed) return
    this.#decoder.push(chunk)
    this.#read()
  }

  onWritable(): void {
    this.#read()
  }

  onTick(): void {
    // What has a time has a timer.
  }

  /** What was sent is answered, but nobody waits for a job any more. */
  onEnd(): void {
    this.#isOver = true
    this.#read()
  }

  drain(): void {
    this.#ending = true
    this.#connection.end('the broker shuts down')
  }

  onClose(_cause: CloseCause): void {
    this.#state = State.Closed
    const { counters } = this.#server
    counters.connections--
    if (this.#isProducer) counters.producers--
    this.#used.using--
    this.#worker.close()
    this.#server.tubes.vanish(this.#used)
  }

  // ----------------------------------------------------------------------------------------------------------------- reading

  /** As far as answers allow. */
  #read(): void {
    if (this.#reading) return
    this.#reading = true
    while (this.#step());
    this.#putCollected()
    this.#decoder.keep()
    this.#reading = false
    this.#holdBack(this.#state !== State.Closed && this.#decoder.buffered > earlyBytesMax)
    if (this.#isOver) this.#endIfAnswered()
  }

  #endIfAnswered(): void {
    if (this.#worker.isPatient) return this.#connection.end('')
    if (this.#state === State.Answering || this.#state === State.Closed || this.#connection.congested) return
    if (this.#line === null && this.#puts === 0 && this.#answers.isEmpty) this.#connection.end('')
  }

  /** Reads no more than it can run. */
  #holdBack(wanted: boolean): void {
    if (wanted === this.#isPaused) return
    this.#isPaused = wanted
    if (wanted) this.#connection.pause()
    else this.#connection.resume()
  }

  /** False when it has to wait. */
  #step(): boolean {
    if (this.#connection.congested) return false
    switch (this.#state) {
      case State.Command:
        return this.#command()
      case State.Body:
        return this.#body()
      case State.Skipping:
        this.#toSkip = this.#decoder.skip(this.#toSkip)
        if (this.#toSkip > 0) return false
        this.#answer('JOB_TOO_BIG')
        return true
      case State.Answering:
      case State.Closed:
        return false
    }
  }

  #command(): boolean {
    const line = this.#line ?? this.#decoder.line()
    this.#line = null
    if (line === null) return false
    if (!this.#mayFollow(line)) {
      this.#line = line
      return false
    }
    if (line === 'tooLong' || line.includes('\0')) {
      this.#answer('BAD_FORMAT')
      return true
    }
    const command = commandOf(line)
    if (command === undefined) this.#unknown(line)
    else this.#run(command, new Arguments(line, command.length))
    return true
  }

  /** A page in a browser can send an HTTP request to any port, with commands for a body: whatever follows such a line is not looked at. */
  #unknown(line: string): void {
    this.#answer('UNKNOWN_COMMAND')
    if (!/^[A-Z]+ \S+ HTTP\/1\.[01]$/.test(line)) return
    this.#state = State.Answering
    this.#connection.end('HTTP is not spoken here')
  }

  /** Whether a command need not wait for the answers before its own. What comes behind puts may be about their jobs. */
  #mayFollow(line: string): boolean {
    const { size, bytes } = this.#answers
    if (size >= unansweredMax || bytes >= unansweredBytesMax || (size > 0 && line.startsWith('quit'))) return false
    return this.#puts === 0 || this.#isPutToFollow(line)
  }

  #isPutToFollow(line: string): boolean {
    return line.startsWith('put ') && this.#puts < unansweredMax && this.#putBytes < unansweredBytesMax
  }

  #run(command: Command, given: Arguments): void {
    switch (command) {
      case 'put ':
        return this.#put(given)
      case 'peek ':
        return this.#withId(command, given, (id) => this.#peek(this.#server.tubes.find(id)))
      case 'peek-ready':
        return this.#alone(command, given, () => this.#peek(this.#server.tubes.firstReady(this.#used)))
      case 'peek-delayed':
        return this.#alone(command, given, () => this.#peek(this.#used.firstDelayed()))
      case 'peek-buried':
        return this.#alone(command, given, () => this.#peek([...this.#used.buried][0]))
      case 'reserve':
        return this.#alone(command, given, () => this.#reserve(null))
      case 'reserve-with-timeout ':
        return this.#reserveWithTimeout(given)
      case 'reserve-job ':
        return this.#withId(command, given, (id) => this.#reserveJob(id))
      case 'delete ':
        return this.#withId(command, given, (id) =>
          this.#later(
            (done) => this.#server.delete(id, this.#worker, done),
            (deleted) => (deleted ? 'DELETED' : 'NOT_FOUND'),
          ),
        )
      case 'release ':
        return this.#release(given)
      case 'bury ':
        return this.#bury(given)
      case 'kick ':
        return this.#kick(given)
      case 'kick-job ':
        return this.#withId(command, given, (id) =>
          this.#later(
            (done) => this.#server.kickJob(id, done),
            (kicked) => (kicked ? 'KICKED' : 'NOT_FOUND'),
          ),
        )
      case 'touch ':
        return this.#withId(command, given, (id) => this.#touch(id))
      case 'stats':
        return this.#alone(command, given, () => this.#yaml(statsYaml(this.#server)))
      case 'stats-job ':
        return this.#withId(command, given, (id) => this.#statsJob(id))
      case 'stats-tube ':
        return this.#withTube(command, given, (name) => this.#statsTube(name))
      case 'list-tubes':
        return this.#alone(command, given, () => this.#yaml(listYaml(this.#server.tubes.byName.keys())))
      case 'list-tube-used':
        return this.#alone(command, given, () => this.#answer(`USING ${this.#used.name}`))
      case 'list-tubes-watched':
        return this.#alone(command, given, () => this.#yaml(listYaml([...this.#worker.tubes].map(({ name }) => name))))
      case 'use ':
        return this.#withTube(command, given, (name) => this.#use(name))
      case 'watch ':
        return this.#withTube(command, given, (name) => this.#watch(name))
      case 'ignore ':
        return this.#withTube(command, given, (name) => this.#ignore(name))
      case 'quit':
        this.#state = State.Answering
        return this.#connection.end('')
      case 'pause-tube ':
        return this.#pause(given)
    }
  }

  /** A command without arguments. */
  #alone(command: Command, given: Arguments, run: () => void): void {
    if (!given.isEmpty) return this.#answer('BAD_FORMAT')
    this.#count(command)
    run()
  }

  #withId(command: Command, given: Arguments, run: (id: number) => void): void {
    const id = given.number()
    if (id === undefined || !given.isEmpty) return this.#answer('BAD_FORMAT')
    this.#count(command)
    run(id)
  }

  #withTube(command: Command, given: Arguments, run: (name: string) => void): void {
    const name = given.rest
    if (!isTubeName(name)) return this.#answer('BAD_FORMAT')
    this.#count(command)
    run(name)
  }

  #count(command: Command): void {
    this.#server.counters.count(command)
  }

  // --------------------------------------------------------------------------------------------------------------- producing

  #put(given: Arguments): void {
    const priority = given.u32()
    const delaySeconds = priority === undefined ? undefined : given.u32()
    const ttrSeconds = delaySeconds === undefined ? undefined : given.u32()
    const bytes = ttrSeconds === undefined ? undefined : given.u32()
    if (priority === undefined || delaySeconds === undefined || ttrSeconds === undefined || bytes === undefined)
      return this.#answer('BAD_FORMAT')
    this.#count('put ')
    if (bytes > this.#server.jobBytesMax) {
      this.#toSkip = bytes + crlfBytes
      this.#state = State.Skipping
      return
    }
    if (!given.isEmpty) return this.#answer('BAD_FORMAT')
    if (!this.#isProducer) this.#server.counters.producers++
    this.#isProducer = true
    this.#incoming = { priority, delaySeconds, ttrSeconds: Math.max(1, ttrSeconds), bytes }
    this.#state = State.Body
  }

  #body(): boolean {
    const incoming = this.#incoming as Incoming // in this state
    const body = this.#decoder.body(incoming.bytes + crlfBytes)
    if (body === null) return false
    this.#incoming = null
    if (body[incoming.bytes] !== 0x0d || body[incoming.bytes + 1] !== 0x0a) this.#answer('EXPECTED_CRLF')
    else if (this.#ending || this.#server.draining) this.#answer('DRAINING')
    else if (!this.#principal.may('publish', namespace, this.#used.name)) this.#answer('INTERNAL_ERROR')
    else this.#store(incoming, body.subarray(0, incoming.bytes))
    return true
  }

  #store(incoming: Incoming, body: Buffer): void {
    this.#state = State.Command
    this.#puts++
    this.#putBytes += body.length
    this.#collected.push(this.#server.newJob(this.#used, incoming, body))
  }

  #putCollected(): void {
    const jobs = this.#collected
    if (jobs.length === 0) return
    this.#collected = []
    const place = this.#answers.later()
    this.#server.put(this.#used, jobs, () => {
      if (this.#state === State.Closed) return
      let said = ''
      for (const { id, error } of jobs) said += error === null ? `INSERTED ${id}\r\n` : `${answers[error]}\r\n`
      this.#puts -= jobs.length
      if (this.#puts === 0) this.#putBytes = 0
      this.#answers.fill(place, said)
      this.#read()
    })
  }

  #use(name: string): void {
    const tube = this.#server.tubes.named(name)
    const before = this.#used
    tube.using++
    before.using--
    this.#used = tube
    this.#server.tubes.vanish(before)
    this.#answer(`USING ${name}`)
  }

  // ----------------------------------------------------------------------------------------------------------------- working

  #reserveWithTimeout(given: Arguments): void {
    const seconds = given.u32()
    if (seconds === undefined || seconds > 0x7fffffff) return this.#answer('BAD_FORMAT')
    this.#count('reserve-with-timeout ')
    this.#reserve(seconds)
  }

  /** `seconds`: how long it waits; null is for ever. */
  #reserve(seconds: number | null): void {
    for (const { name } of this.#worker.tubes)
      if (!this.#principal.may('consume', namespace, name)) return this.#answer('INTERNAL_ERROR')
    this.#state = State.Answering
    this.#worker.reserve(seconds)
  }

  #reserveJob(id: number): void {
    const job = this.#server.tubes.find(id)
    if (job !== undefined && !this.#principal.may('consume', namespace, job.tube.name)) return this.#answer('INTERNAL_ERROR')
    this.#state = State.Answering
    this.#worker.reserveJob(id, () => this.#answerLater('NOT_FOUND'))
  }

  #release(given: Arguments): void {
    const id = given.number()
    const priority = id === undefined ? undefined : given.u32()
    const delaySeconds = priority === undefined ? undefined : given.u32()
    if (id === undefined || priority === undefined || delaySeconds === undefined || !given.isEmpty)
      return this.#answer('BAD_FORMAT')
    this.#count('release ')
    this.#later(
      (done) => this.#server.release(id, this.#worker, priority, delaySeconds, done),
      (isMine) => (isMine ? 'RELEASED' : 'NOT_FOUND'),
    )
  }

  #bury(given: Arguments): void {
    const id = given.number()
    const priority = id === undefined ? undefined : given.u32()
    if (id === undefined || priority === undefined || !given.isEmpty) return this.#answer('BAD_FORMAT')
    this.#count('bury ')
    this.#later(
      (done) => this.#server.buryReserved(id, this.#worker, priority, done),
      (isMine) => (isMine ? 'BURIED' : 'NOT_FOUND'),
    )
  }

  #touch(id: number): void {
    this.#answer(this.#server.touch(id, this.#worker) ? 'TOUCHED' : 'NOT_FOUND')
  }

  #watch(name: string): void {
    this.#worker.watch(name)
    this.#answer(`WATCHING ${this.#worker.tubes.size}`)
  }

  #ignore(name: string): void {
    this.#answer(this.#worker.ignore(name) ? `WATCHING ${this.#worker.tubes.size}` : 'NOT_IGNORED')
  }

  // ----------------------------------------------------------------------------------------------------------------- looking

  #peek(job: Job | undefined): void {
    this.#state = State.Answering
    this.#server.peek(job, (found, body) => {
      if (found === null || body === null) this.#answerLater('NOT_FOUND')
      else this.#jobAnswer('FOUND', found, body)
    })
  }

  #kick(given: Arguments): void {
    const digits = /^\s*[+-]?(\d+)/.exec(given.rest)
    if (digits === null) return this.#answer('BAD_FORMAT')
    this.#count('kick ')
    this.#later(
      (done) => this.#server.kick(this.#used, Number(digits[1]), done),
      (kicked) => `KICKED ${kicked}`,
    )
  }

  #statsJob(id: number): void {
    const job = this.#server.tubes.find(id)
    if (job === undefined) this.#answer('NOT_FOUND')
    else this.#yaml(jobYaml(job, this.#server.broker.clock.now()))
  }

  #statsTube(name: string): void {
    const tube = this.#server.tubes.byName.get(name)
    if (tube === undefined) this.#answer('NOT_FOUND')
    else this.#yaml(tubeYaml(tube, this.#server.broker.clock.now()))
  }

  #pause(given: Arguments): void {
    const name = given.name()
    const seconds = name === undefined ? undefined : given.u32()
    if (name === undefined || seconds === undefined || !given.isEmpty || !isTubeName(name)) return this.#answer('BAD_FORMAT')
    this.#count('pause-tube ')
    const tube = this.#server.tubes.byName.get(name)
    if (tube === undefined) return this.#answer('NOT_FOUND')
    this.#server.pause(tube, seconds)
    this.#answer('PAUSED')
  }

  // --------------------------------------------------------------------------------------------------------------- answering

  /** `act` does it at once, and calls back when that is durable: at once or later. The next command need not wait for it. */
  #later<Result>(act: (done: (result: Result) => void) => void, answer: (result: Result) => string): void {
    const place = this.#answers.later()
    act((result) => {
      if (this.#state === State.Closed) return
      this.#answers.fill(place, `${answer(result)}\r\n`)
      this.#read()
    })
  }

  #answer(word: string): void {
    this.#state = State.Command
    this.#putCollected()
    this.#answers.add(`${word}\r\n`)
  }

  /** An answer that did not come within the command's own call lets the next command in. */
  #answerLater(word: string): void {
    if (this.#state === State.Closed) return
    this.#answer(word)
    this.#read()
  }

  #jobAnswer(word: string, job: Job, body: Buffer): void {
    if (this.#state === State.Closed) return
    const connection = this.#connection
    const head = `${word} ${job.id} ${body.length}\r\n`
    if (body.length > copiedBytesMax || !this.#answers.isEmpty) {
      this.#answers.add(head)
      this.#answers.add(body)
    } else {
      const at = connection.reserve(head.length + body.length)
      connection.slab.write(head, at, 'latin1')
      body.copy(connection.slab, at + head.length)
      connection.commit(head.length + body.length)
    }
    this.#answerLater('')
  }

  #yaml(text: string): void {
    const bytes = Buffer.from(text)
    this.#answers.add(`OK ${bytes.length}\r\n`)
    this.#answers.add(bytes)
    this.#answer('')
  }
}
