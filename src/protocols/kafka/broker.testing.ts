// For tests only: what the tests of a file that talk to a broker over sockets begin with.
import assert from 'node:assert/strict'
import { after } from 'node:test'
import { type EmbeddedBroker, startBroker } from '../../index.ts'
import { ApiKey } from './codec.ts'
import { TestClient } from './test-client.ts'

export interface ForTests {
  readonly broker: EmbeddedBroker
  /** A new client of it. */
  readonly client: () => TestClient
}

/** A broker of this protocol alone. It ends with the tests of the file that started it, and so do its clients. */
export async function startForTests(): Promise<ForTests> {
  const broker = await startBroker({ protocols: ['kafka'] })
  const clients: TestClient[] = []
  after(async () => {
    for (const client of clients) client.close()
    await broker.close()
  })
  const client = (): TestClient => {
    const made = new TestClient(broker.port('kafka'))
    clients.push(made)
    return made
  }
  return { broker, client }
}

/** Resolves to its id. */
export async function createTopic(to: TestClient, name: string, numPartitions = 1): Promise<string> {
  const { topics } = await to.ask(ApiKey.CreateTopics, 7, {
    topics: [{ name, numPartitions, replicationFactor: 1 }],
    timeoutMs: 1000,
  })
  assert.equal(topics[0].errorCode, 0)
  return topics[0].topicId
}
