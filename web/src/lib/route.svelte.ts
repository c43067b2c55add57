// Where in the app this window is.
import {parseRoute, routeHash, type Page} from "./hash_route";

class Location {
    current = $state.raw(parseRoute(location.hash));

    constructor() {
        addEventListener("hashchange", () => { this.current = parseRoute(location.hash); });
    }

    go(page: Page, id: string | null = null): void {
        location.hash = routeHash(page, id);
    }

    // As go, without a step in the history: the same place got its name.
    replace(page: Page, id: string | null): void {
        history.replaceState(null, "", routeHash(page, id));
        this.current = {page, id};
    }
}

export const route = new Location();
