const [library, url] = process.argv.slice(1);
const failed = (error) => {
  const cause = error.cause || error;
  console.error(`${cause.message || cause} ${cause.code || ''}`);
  process.exit(1);
};
if (library === 'fetch') {
  fetch(url).then((answer) => answer.text()).then((text) => console.log(text)).catch(failed);
} else {
  require('https').get(url, (answer) => answer.pipe(process.stdout)).on('error', failed);
}
