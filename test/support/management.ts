// For tests only: a broker with RabbitMQ's management API and AMQP, and what conversations with both need.
import { after, before, beforeEach } from 'node:test'
import amqplib, { type Channel, type ChannelModel } from 'amqplib'
import { type EmbeddedBroker, startBroker } from '../../src/index.ts'

export interface Answer {
  readonly status: number
  readonly headers: Headers
  // biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely, and a wrong shape fails the test anyway
  readonly json: any
}

export class Management {
  broker!: EmbeddedBroker // set before the first test
  readonly #connections: ChannelModel[] = []

  /** Starts and stops with the tests of the file that makes it; each test begins with no users, vhosts, policies or queues. */
  constructor() {
    before(async () => {
      this.broker = await startBroker({ protocols: ['amqp', 'rabbitmq-management'] })
    })
    beforeEach(() => this.#reset())
    after(async () => {
      await this.#reset()
      await this.broker.close()
    })
  }

  async #reset(): Promise<void> {
    for (const connection of this.#connections.splice(0)) await connection.close().catch(() => undefined)
    // The last administrator goes last.
    const { json: users } = await this.as('root:secret')('GET', '/users')
    if (users.length > 0) {
      const names = users.map(({ name }: { name: string }) => name)
      await this.as('root:secret')('POST', '/users/bulk-delete', { users: names })
    }
    for (const kind of ['policies', 'operator-policies']) {
      const { json } = await this.call('GET', `/${kind}`)
      for (const { vhost, name } of json) await this.call('DELETE', `/${kind}/${encodeURIComponent(vhost)}/${name}`)
    }
    for (const { name } of (await this.call('GET', '/vhosts')).json)
      if (name !== '/') await this.call('DELETE', `/vhosts/${encodeURIComponent(name)}`)
    for (const { name } of (await this.call('GET', '/exchanges/%2F')).json)
      if (name !== '' && !name.startsWith('amq.')) await this.call('DELETE', `/exchanges/%2F/${encodeURIComponent(name)}`)
    await this.broker.reset()
  }

  readonly call = (method: string, path: string, body?: unknown): Promise<Answer> => this.as('guest:guest')(method, path, body)

  /** Calls as a user, given as `name:password`. */
  as(login: string): (method: string, path: string, body?: unknown) => Promise<Answer> {
    const headers = { authorization: `Basic ${Buffer.from(login).toString('base64')}` }
    return async (method, path, body) => {
      const content = body === undefined ? {} : { body: JSON.stringify(body) }
      const response = await fetch(`${this.broker.url('rabbitmq-management')}/api${path}`, { method, headers, ...content })
      const text = await response.text()
      return { status: response.status, headers: response.headers, json: text === '' ? null : JSON.parse(text) }
    }
  }

  async connect(login = 'guest:guest', vhost = '/'): Promise<ChannelModel> {
    const url = this.broker.url('amqp').replace('amqp://', `amqp://${login}@`)
    const connection = await amqplib.connect(`${url}/${encodeURIComponent(vhost)}`, {
      clientProperties: { connection_name: 'tester' },
    })
    connection.on('error', () => undefined)
    this.#connections.push(connection)
    return connection
  }

  async channel(login?: string, vhost?: string): Promise<Channel> {
    const channel = await (await this.connect(login, vhost)).createChannel()
    channel.on('error', () => undefined)
    return channel
  }
}
