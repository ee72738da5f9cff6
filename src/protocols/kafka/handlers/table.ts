// Which requests are served, in which versions, by what. ApiVersions advertises exactly this.
import { ApiKey } from '../codec.ts'
import type { Request } from '../request.ts'
import { createAcls, deleteAcls, describeAcls } from './acls.ts'
import { findCoordinator, metadata } from './cluster.ts'
import { alterConfigs, describeConfigs, incrementalAlterConfigs, listConfigResources } from './configs.ts'
import { consumerGroupDescribe, consumerGroupHeartbeat } from './consumer-groups.ts'
import { alterUserScramCredentials, describeUserScramCredentials } from './credentials.ts'
import { offsetCommit, offsetDelete, offsetFetch } from './cursors.ts'
import { updateFeatures } from './features.ts'
import { fetch } from './fetch.ts'
import { deleteGroups, describeGroups, heartbeat, joinGroup, leaveGroup, listGroups, syncGroup } from './groups.ts'
import {
  alterPartitionReassignments,
  alterReplicaLogDirs,
  createDelegationToken,
  describeCluster,
  describeLogDirs,
  describeQuorum,
  electLeaders,
  listPartitionReassignments,
  refuseDelegationToken,
} from './nodes.ts'
import { listOffsets, offsetForLeaderEpoch } from './offsets.ts'
import { describeTopicPartitions } from './partitions.ts'
import { produce } from './produce.ts'
import { alterClientQuotas, describeClientQuotas } from './quotas.ts'
import { shareAcknowledge, shareFetch } from './share-fetch.ts'
import {
  alterShareGroupOffsets,
  deleteShareGroupOffsets,
  describeShareGroupOffsets,
  shareGroupDescribe,
  shareGroupHeartbeat,
} from './share-groups.ts'
import { apiVersions, saslAuthenticate, saslHandshake } from './start.ts'
import { createPartitions, createTopics, deleteRecords, deleteTopics } from './topics.ts'
import { describeProducers, describeTransactions, listTransactions, writeTxnMarkers } from './transaction-admin.ts'
import { addOffsetsToTxn, addPartitionsToTxn, endTxn, initProducerId, txnOffsetCommit } from './transactions.ts'

export interface Handler {
  readonly from: number
  readonly to: number
  readonly run: (request: Request) => void | Promise<void>
  readonly beforeLogin: boolean
}

function row(key: number, from: number, to: number, run: Handler['run'], beforeLogin = false): [number, Handler] {
  return [key, { from, to, run, beforeLogin }]
}

export const handlers: ReadonlyMap<number, Handler> = new Map([
  // KAFKA-18659: older librdkafka drops features unless 0 is advertised; versions below 3 are refused in the handler.
  row(ApiKey.Produce, 0, 13, produce),
  row(ApiKey.Fetch, 4, 18, fetch),
  row(ApiKey.ListOffsets, 1, 11, listOffsets),
  row(ApiKey.Metadata, 0, 13, metadata),
  row(ApiKey.OffsetCommit, 2, 10, offsetCommit),
  row(ApiKey.OffsetFetch, 1, 10, offsetFetch),
  row(ApiKey.FindCoordinator, 0, 6, findCoordinator),
  row(ApiKey.JoinGroup, 0, 9, joinGroup),
  row(ApiKey.Heartbeat, 0, 4, heartbeat),
  row(ApiKey.LeaveGroup, 0, 5, leaveGroup),
  row(ApiKey.SyncGroup, 0, 5, syncGroup),
  row(ApiKey.DescribeGroups, 0, 6, describeGroups),
  row(ApiKey.ListGroups, 0, 5, listGroups),
  row(ApiKey.SaslHandshake, 0, 1, saslHandshake, true),
  row(ApiKey.ApiVersions, 0, 5, apiVersions, true),
  row(ApiKey.CreateTopics, 2, 7, createTopics),
  row(ApiKey.DeleteTopics, 1, 6, deleteTopics),
  row(ApiKey.DeleteRecords, 0, 2, deleteRecords),
  row(ApiKey.InitProducerId, 0, 5, initProducerId),
  row(ApiKey.OffsetForLeaderEpoch, 2, 4, offsetForLeaderEpoch),
  row(ApiKey.AddPartitionsToTxn, 0, 5, addPartitionsToTxn),
  row(ApiKey.AddOffsetsToTxn, 0, 4, addOffsetsToTxn),
  row(ApiKey.EndTxn, 0, 5, endTxn),
  row(ApiKey.WriteTxnMarkers, 1, 2, writeTxnMarkers),
  row(ApiKey.TxnOffsetCommit, 0, 6, txnOffsetCommit),
  row(ApiKey.DescribeAcls, 1, 3, describeAcls),
  row(ApiKey.CreateAcls, 1, 3, createAcls),
  row(ApiKey.DeleteAcls, 1, 3, deleteAcls),
  row(ApiKey.DescribeConfigs, 1, 4, describeConfigs),
  row(ApiKey.AlterConfigs, 0, 2, alterConfigs),
  row(ApiKey.AlterReplicaLogDirs, 1, 2, alterReplicaLogDirs),
  row(ApiKey.DescribeLogDirs, 1, 5, describeLogDirs),
  row(ApiKey.SaslAuthenticate, 0, 2, saslAuthenticate, true),
  row(ApiKey.CreatePartitions, 0, 3, createPartitions),
  row(ApiKey.CreateDelegationToken, 1, 3, createDelegationToken),
  row(ApiKey.RenewDelegationToken, 1, 2, refuseDelegationToken),
  row(ApiKey.ExpireDelegationToken, 1, 2, refuseDelegationToken),
  row(ApiKey.DescribeDelegationToken, 1, 3, refuseDelegationToken),
  row(ApiKey.DeleteGroups, 0, 3, deleteGroups),
  row(ApiKey.ElectLeaders, 0, 2, electLeaders),
  row(ApiKey.IncrementalAlterConfigs, 0, 1, incrementalAlterConfigs),
  row(ApiKey.AlterPartitionReassignments, 0, 1, alterPartitionReassignments),
  row(ApiKey.ListPartitionReassignments, 0, 0, listPartitionReassignments),
  row(ApiKey.OffsetDelete, 0, 0, offsetDelete),
  row(ApiKey.DescribeClientQuotas, 0, 1, describeClientQuotas),
  row(ApiKey.AlterClientQuotas, 0, 1, alterClientQuotas),
  row(ApiKey.DescribeUserScramCredentials, 0, 0, describeUserScramCredentials),
  row(ApiKey.AlterUserScramCredentials, 0, 0, alterUserScramCredentials),
  row(ApiKey.DescribeQuorum, 0, 2, describeQuorum),
  row(ApiKey.UpdateFeatures, 0, 2, updateFeatures),
  row(ApiKey.DescribeCluster, 0, 2, describeCluster),
  row(ApiKey.ConsumerGroupHeartbeat, 0, 1, consumerGroupHeartbeat),
  row(ApiKey.ConsumerGroupDescribe, 0, 1, consumerGroupDescribe),
  row(ApiKey.ShareGroupHeartbeat, 1, 1, shareGroupHeartbeat),
  row(ApiKey.ShareGroupDescribe, 1, 1, shareGroupDescribe),
  row(ApiKey.ShareFetch, 1, 2, shareFetch),
  row(ApiKey.ShareAcknowledge, 1, 2, shareAcknowledge),
  row(ApiKey.DescribeShareGroupOffsets, 0, 1, describeShareGroupOffsets),
  row(ApiKey.AlterShareGroupOffsets, 0, 0, alterShareGroupOffsets),
  row(ApiKey.DeleteShareGroupOffsets, 0, 0, deleteShareGroupOffsets),
  row(ApiKey.DescribeProducers, 0, 0, describeProducers),
  row(ApiKey.DescribeTransactions, 0, 0, describeTransactions),
  row(ApiKey.ListTransactions, 0, 2, listTransactions),
  row(ApiKey.ListConfigResources, 0, 1, listConfigResources),
  row(ApiKey.DescribeTopicPartitions, 0, 0, describeTopicPartitions),
])
