export * from './attributes/train-attributes.ts';
export { type BuildOptions, type BuildSummary, buildDataset, type WorkAhead } from './data/build/build-dataset.ts';
export { differenceHash, hammingDistance, NearDuplicates } from './data/build/duplicates.ts';
export { type Confidence, defaultConfidence, mergeFacts } from './data/build/face-facts.ts';
export { GrammarCaptioner, GrammarQuestionWriter } from './data/build/grammar-writers.ts';
export { BatchesPending } from './data/build/llm-batches.ts';
export { type OptOutList, readOptOut } from './data/build/opt-out.ts';
export { openPostgresStore } from './data/build/pg-store.ts';
export { type DetectSettings, defaultDetectSettings, FaceWorkshop } from './data/build/photo-stage.ts';
export type { StageProgress } from './data/build/progress.ts';
export { queueAhead, workOnQueue } from './data/build/queue.ts';
export { ReadBack, type ReadBackFigures } from './data/build/read-back.ts';
export { type BuildStore, openLmdbStore, resultStoreOf } from './data/build/store.ts';
export * from './data/build/types.ts';
export { textFault, validateRecord } from './data/build/validate.ts';
export { FaceWorkers } from './data/build/worker-pool.ts';
export * from './data/celeba.ts';
export type { SourceTerms } from './data/export/data-card.ts';
export { type ExportOptions, type ExportSummary, exportDataset } from './data/export/export-dataset.ts';
export type { ExportedFile } from './data/export/parquet-shards.ts';
export { type OpenedDataset, openDataset } from './data/export/read-dataset.ts';
export * from './data/grammar/attributes.ts';
export { type Caption, type CaptionLength, captionFace } from './data/grammar/caption.ts';
export * from './data/grammar/parse.ts';
export { questionSet } from './data/grammar/question-kinds.ts';
export * from './data/grammar/questions.ts';
export * from './data/grammar/vocabulary.ts';
export {
  type BatchOptions,
  type BatchProgress,
  type BatchRequests,
  collectBatch,
  submitBatch,
} from './data/llm/batch.ts';
export { LlmCaptioner, type LlmCaptionerOptions } from './data/llm/captioner.ts';
export type { Clock } from './data/llm/clock.ts';
export { LlmEndpoint, type LlmEndpointOptions, type ResultStore } from './data/llm/endpoint.ts';
export type { LlmEvent, Tally, TokenUsage } from './data/llm/events.ts';
export { type DeadLetter, type FaultReason, LlmItemError, LlmRunError } from './data/llm/faults.ts';
export { LlmQuestionWriter, type LlmQuestionWriterOptions } from './data/llm/question-writer.ts';
export type { LlmRequest, SourcedFace } from './data/llm/request.ts';
export { krippendorffAlpha, type Scale, type UnitValues } from './data/review/agreement.ts';
export { type BootstrapOptions, bootstrap, type Interval } from './data/review/bootstrap.ts';
export {
  type Agreement,
  type ExportRatingsOptions,
  exportRatings,
  type ItemSummary,
  type QuestionSummary,
  questionsCsv,
  type RatingsExport,
  ratingsCsv,
} from './data/review/export-ratings.ts';
export type { Rating, ReviewRecord } from './data/review/rating.ts';
export { type OpenedLog, RatingsLog } from './data/review/ratings-log.ts';
export {
  type ReviewOptions,
  type ReviewRecords,
  type ReviewServer,
  reviewServer,
} from './data/review/review-server.ts';
export { isRejection, type SourceItem } from './data/sources/items.ts';
export { defaultMaxPhotoBytes, readLocator } from './data/sources/locator.ts';
export {
  detectSource,
  type OpenSourceOptions,
  openSource,
  openSources,
  type SourceKind,
  sourceKinds,
} from './data/sources/open-source.ts';
export { collectStats, defaultVocabulary, type StatsOptions } from './data/stats/collect-stats.ts';
export type {
  AttributeStats,
  DatasetStats,
  PartStats,
  RejectionCount,
  TopicBalance,
  VocabularyEntry,
} from './data/stats/dataset-stats.ts';
export { statsHtml } from './data/stats/stats-html.ts';
export { statsText } from './data/stats/stats-text.ts';
export type { DistinctCount, Distribution } from './data/stats/tally.ts';
export * from './data/train-bpe.ts';
export * from './encoders/train-identity.ts';
export * from './encoders/train-image-text.ts';
export { type JudgedAttribute, judgedAttributes } from './evaluation/attribute-prompts.ts';
export { type AttributeScore, evaluateAttributes } from './evaluation/attributes.ts';
export * from './evaluation/frechet.ts';
export * from './evaluation/generation.ts';
export * from './evaluation/judge.ts';
export * from './evaluation/kid.ts';
export * from './evaluation/ranking.ts';
export * from './evaluation/routing.ts';
export { routingHtml } from './evaluation/routing-html.ts';
export * from './evaluation/tokenizer.ts';
export * from './evaluation/understanding.ts';
export * from './training/adamw.ts';
export { jointLoss } from './training/backbone-stage.ts';
export type { Collective } from './training/collective/collective.ts';
export { launchedRank } from './training/collective/launch.ts';
export type { EncodedFaces } from './training/encode-faces.ts';
export * from './training/events.ts';
export { loadRecipe } from './training/load-recipe.ts';
export { isUndecayed, moveAverage } from './training/loop.ts';
export * from './training/lr-schedule.ts';
export { measurePeakFlops } from './training/monitor/machine-peak.ts';
export { type WatchServer, watchServer } from './training/monitor/watch-server.ts';
export * from './training/recipe.ts';
export * from './training/run-recipe.ts';
export { answerSlots, SequenceBatches } from './training/sequence-batches.ts';
export * from './training/train-graph.ts';
export * from './training/train-in-worker.ts';
