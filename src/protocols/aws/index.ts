/** SQS and SNS of AWS on one port, as local stand-ins for them have it: handler.ts is what happens to a request. */
import type { Protocol } from '../../broker/face.ts'
import { AwsHandler } from './handler.ts'
import { messageFormat } from './mapping.ts'
import { Store } from './sns/store.ts'
import { Moves } from './sqs/moves.ts'
import { Queues } from './sqs/queue.ts'

export const protocol: Protocol = {
  name: 'sqs',
  listeners: [{ name: 'sqs', port: 4566, kind: 'http' }],
  formats: [messageFormat],
  start: (broker) => {
    const queues = Queues.of(broker)
    queues.clean()
    Moves.of(queues).resume()
    Store.of(broker).start()
  },
  serve: (broker) => new AwsHandler(broker),
}
