"""Names that begin with `$`, as a mongod of 6.0 holds them and newer ones, and a few that only look like one."""

_NAMES = """
$ $$ROOT $EQ $Match $_addReshardingResumeId $_allowTransactionTableSnapshot $_backupFile $_generateV2ResumeTokens
$_id $_internalAllCollectionStats $_internalApplyOplogUpdate $_internalBoundedSort $_internalBucketGeoWithin
$_internalChangeStreamAddPostImage $_internalChangeStreamAddPreImage $_internalChangeStreamCheckInvalidate
$_internalChangeStreamCheckResumability $_internalChangeStreamCheckTopologyChange
$_internalChangeStreamHandleTopologyChange $_internalChangeStreamOplogMatch $_internalChangeStreamTransform
$_internalChangeStreamUnwindTransaction $_internalComputeGeoNearDistance $_internalConvertBucketIndexStats
$_internalDensify $_internalExchange $_internalExprEq $_internalExprGt $_internalExprGte $_internalExprLt
$_internalExprLte $_internalFindAllValuesAtPath $_internalFindAndModifyImageLookup $_internalFleEq
$_internalIncludeNewlyAdded $_internalInhibitOptimization $_internalJsEmit $_internalJsReduce
$_internalListCollections $_internalPredicate $_internalReadAtClusterTime $_internalReshardingIterateTransaction
$_internalReshardingOwnershipMatch $_internalSchemaAllElemMatchFromIndex $_internalSchemaAllowedProperties
$_internalSchemaBinDataEncryptedType $_internalSchemaBinDataFLE2EncryptedType $_internalSchemaBinDataSubType
$_internalSchemaCond $_internalSchemaMatchArrayIndex $_internalSchemaMaxItems $_internalSchemaMaxLength
$_internalSchemaMaxProperties $_internalSchemaMinItems $_internalSchemaMinLength $_internalSchemaMinProperties
$_internalSchemaRootDocEq $_internalSchemaType $_internalSchemaXor $_internalSearchMongotRemote
$_internalSetWindowFields $_internalShardFilter $_internalSplitPipeline $_internalUnpackBucket $_passthroughToShard
$_path $_requestReshardingResumeToken $_requestResumeToken $_resumeAfter $_testApiVersion $_unpackBucket $abs
$accumulator $acos $acosh $add $addFields $addToSet $all $allElementsTrue $alwaysFalse $alwaysTrue $and
$anyElementTrue $arrayElemAt $arrayToObject $asin $asinh $atan $atan2 $atanh $audit $avg $backupCursor $binary
$binarySize $bit $bitAnd $bitNot $bitOr $bitXor $bitsAllClear $bitsAllSet $bitsAnyClear $bitsAnySet $bottom $bottomN
$bsonSize $bucket $bucketAuto $caseSensitive $ceil $center $centerSphere $changeStream $clusterTime $cmd $cmp
$coerceToBool $collStats $comment $concat $concatArrays $cond $configAll $configMajority $configServerState
$configTime $configVoter $const $convert $cos $cosh $count $covariancePop $covarianceSamp $createObjectId
$credentials $currentDate $currentOp $cursor $date $dateAdd $dateDiff $dateFromParts $dateFromString $dateSubtract
$dateToParts $dateToString $dateTrunc $dayOfMonth $dayOfWeek $dayOfYear $db $degreesToRadians $denseRank $densify
$derivative $diacriticSensitive $divide $documentNumber $documents $doingMerge $each $electable $elemMatch $emits
$encStrContains $encStrStartsWith $eq $eval $exists $exp $expMovingAvg $expr $external $facet $fill $filter $first
$firstN $floor $function $geoNear $geoNearCursor $geoWithin $geometry $getField $gleStats $graphLookup $group
$groupByDistinctScan $gt $gte $hash $hexHash $hint $hour $id $ifNull $impersonatedRoles $impersonatedUsers $in $inc
$incompleteOplogHistory $indexKey $indexOfArray $indexOfBytes $indexOfCP $indexStats $integral
$internalFacetTeeConsumer $internalFindElemMatch $internalFindPositional $internalFindSlice $internalJsEmit $isArray
$isNumber $isoDayOfWeek $isoWeek $isoWeekYear $jsonSchema $language $last $lastN $let $limit $linearFill
$listCachedAndActiveUsers $listCatalog $listClusterCatalog $listLocalSessions $listSearchIndexes $listSessions
$literal $ln $locf $log $log10 $lookup $lt $lte $ltrim $majority $map $mapReduce $match $max $maxDistance $maxKey
$maxN $maxTimeMS $median $merge $mergeCursors $mergeObjects $meta $millisecond $min $minDistance $minKey
$minMaxScaler $minN $minute $mod $month $mul $multiply $nExtents $natural $ne $near $nearSphere $nin $nor $not
$numberDecimal $numberDouble $numberInt $numberLong $objectToArray $oid $op $operationMetrics $oplogQueryData
$options $or $orderby $out $ownOps $percentile $planCacheStats $pop $position $pow $project $pull $pullAll $push
$query $queryOptions $querySettings $queryStats $queue $radiansToDegrees $rand $randVal $range $rank $rankFusion
$readOnce $readPreference $recordId $redact $reduce $ref $regex $regexFind $regexFindAll $regexMatch
$regularExpression $rename $replData $replaceAll $replaceOne $replaceRoot $replaceWith $reverseArray $root $round
$rtrim $sample $sampleFromRandomCursor $sampleRate $schema $score $scoreFusion $search $searchHighlights $searchMeta
$searchScore $searchScoreDetails $second $sequentialCache $sessionMigrateInfo $set $setDifference $setEquals
$setField $setIntersection $setIsSubset $setMetadata $setOnInsert $setUnion $setVariableFromSubPipeline
$setWindowFields $shardedDataDistribution $shift $sigmoid $similarityCosine $sin $sinh $size $skip $slice $sort
$sortArray $sortByCount $sortKey $split $sqrt $stdDevPop $stdDevSamp $stepDownCheck $strLenBytes $strLenCP
$strcasecmp $substr $substrBytes $substrCP $subtract $subtype $sum $switch $tan $tanh $tenant $test $text $textScore
$timestamp $toArray $toBool $toDate $toDecimal $toDouble $toHashedIndexKey $toInt $toLong $toLower $toObject
$toObjectId $toString $toUUID $toUpper $top $topN $topologyTime $trim $trunc $truncateOps $truncated $ts
$tsIncrement $tsSecond $type $undefined $unionWith $uniqueDocs $unset $unsetField $unwind $uuid $value $vectorSearch
$voter $votingMembers $week $where $wouldChangeOwningShard $year $zip
"""
KNOWN_TO_MONGOD = tuple(_NAMES.split())
