"""The names that public sets of ratings give their columns."""

import re

# role -> its names, in the form that `plain` gives. A name of a later line counts only if no column
# has a name of an earlier one.
NAMES = {
    "user": (
        "user userid uid userno usernum usernumber reviewer reviewerid customer customerid cust"
        " custid member memberid rater raterid person personid visitor visitorid account accountid"
        " who usr usrid u authorid author patron patronid viewer viewerid",
        "username useridx userindex userhash reviewername profilename nickname login handle",
    ),
    "item": (
        "item itemid iid itemno movie movieid film filmid show showid isbn asin book bookid product"
        " productid prodid sku anime animeid manga mangaid song songid track trackid artist"
        " artistid album albumid game gameid appid business businessid restaurant restaurantid"
        " recipe recipeid place placeid venue venueid poi poiid beer beerid hotel hotelid joke"
        " jokeid course courseid article articleid news newsid listing listingid doc docid document"
        " documentid video videoid wine wineid app location locationid what i",
        "itemname itemidx itemindex parentasin",
        "title titleid movietitle booktitle moviename name productname producttitle",
    ),
    "rating": (
        "rating ratings rate stars star score overall bookrating movierating ratingvalue"
        " ratingscore userrating userscore reviewscore reviewrating reviewstars reviewoverall"
        " starrating overallrating grade points mark preference pref r",
        "value label feedback like liked vote thumbs",
    ),
    "timestamp": (
        "timestamp time date datetime when ts unixtime unixreviewtime unixtimestamp tstamp"
        " ratingtimestamp reviewtimestamp ratingtime ratingdate reviewdate createdat created"
        " ratedat dateadded timestampms epoch timems t",
        "reviewtime updatedat updated dateupdated lastupdated submitted",
    ),
}
RECBOLE_TYPE = re.compile(r":(token|float)(_seq)?\s*$")
# names that end with "id" and are no item's
_NO_ITEM = ("id", "reviewid", "ratingid", "sessionid", "orderid", "rowid", "recordid", "uuid")


def plain(name: str) -> str:
    """A column name without its case, signs, blanks and RecBole's type: User-ID, user_id:token."""
    return "".join(sign for sign in RECBOLE_TYPE.sub("", name.lower()) if sign.isalnum())


def columns_called(role: str, names: list[str]) -> list[int]:
    """The positions of the columns whose names fit the role; several: nobody can tell."""
    known = [plain(name) for name in names]
    for words in NAMES[role]:
        if found := [at for at, name in enumerate(known) if name in words.split()]:
            return found
    return []


def other_id_columns(names: list[str]) -> list[int]:
    """The positions of the columns called some_id, for a kind of item that nobody foresaw."""
    words = {word for lists in NAMES.values() for word in " ".join(lists).split()} | {*_NO_ITEM}
    known = [plain(name) for name in names]
    return [at for at, name in enumerate(known) if name.endswith("id") and name not in words]
