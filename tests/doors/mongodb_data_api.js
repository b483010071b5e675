// Each action by the client as it is installed from npm; it knows the gateway by its address and key alone.
const { createMongoDBDataAPI } = require('mongodb-data-api')

const [address, apiKey] = process.argv.slice(2)
const urlEndpoint = `${address}/app/myapp-abcde/endpoint/data/v1`
const api = createMongoDBDataAPI({ apiKey, urlEndpoint })
const notes = api.$cluster('Cluster0').$database('default').$collection('notes')
const told = {}

const ask = async (name, asked) => {
  try {
    told[name] = await asked
  } catch (error) {
    told[name] = { refused: error.status ?? error }
  }
}

const main = async () => {
  await ask('insertOne', notes.insertOne({ document: { _id: 'a', title: 'one', age: 1 } }))
  await ask('insertMany', notes.insertMany({ documents: [{ _id: 'b', title: 'two', age: 2 }, { _id: 'c', title: 'three', age: 3 }] }))
  await ask('findOne', notes.findOne({ filter: { _id: 'a' }, projection: { title: 1 } }))
  await ask('find', notes.find({ filter: { age: { $gte: 2 } }, sort: { age: -1 }, limit: 5, skip: 1, projection: { title: 1 } }))
  await ask('updateOne', notes.updateOne({ filter: { _id: 'a' }, update: { $set: { title: 'changed' } } }))
  await ask('updateMany', notes.updateMany({ filter: { age: { $gte: 2 } }, update: { $inc: { age: 1 } }, upsert: false }))
  await ask('replaceOne', notes.replaceOne({ filter: { _id: 'b' }, replacement: { title: 'other' } }))
  await ask('upserted', notes.updateOne({ filter: { _id: 'd' }, update: { $inc: { age: 1 }, $setOnInsert: { title: 'four' } }, upsert: true }))
  await ask('changed', notes.updateMany({ filter: { _id: 'd' }, update: { $set: { title: 'six' } }, upsert: true }))
  await ask('replaced', notes.replaceOne({ filter: { _id: 'e' }, replacement: { title: 'five' }, upsert: true }))
  await ask('aggregate', notes.aggregate({ pipeline: [{ $match: { age: { $gte: 1 } } }, { $group: { _id: null, n: { $sum: 1 } } }] }))
  await ask('deleteOne', notes.deleteOne({ filter: { _id: 'a' } }))
  await ask('deleteMany', notes.deleteMany({ filter: {} }))
  await ask('gone', notes.findOne({ filter: { _id: 'a' } }))
  await ask('hidden', notes.find({ filter: { nothing: 1 } }))
  await ask('elsewhere', api.findOne({ dataSource: 'Cluster0', database: 'other', collection: 'notes' }))
  await ask('stranger', createMongoDBDataAPI({ apiKey: 'x', urlEndpoint }).findOne({ dataSource: 'c', database: 'default', collection: 'notes' }))
  console.log(JSON.stringify(told))
}

main()
