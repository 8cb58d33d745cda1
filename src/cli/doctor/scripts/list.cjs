console.log(process.version.slice(1));
console.log('https');
if (typeof fetch === 'function') console.log('fetch');
