// Names by order, not by the folder's path, so that the same sources give the same files everywhere.
module.exports = { optimization: { moduleIds: 'natural', chunkIds: 'natural' } };
