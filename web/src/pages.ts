// The pages besides the chat; a lazy part.
export {default as models} from "./models/ModelsPage.svelte";
export {default as tune} from "./tune/TunePage.svelte";
export {default as server} from "./server/ServerPage.svelte";
