//! Subscriptions: requests for a list, from which tasks follow together with the universe.

use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::{ManifestError, ManifestReader, ManifestWriter, SpecText, transaction::Transaction};

/// One request for all symbols of a list that were listed in some windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The list, such as `us-stocks`.
    pub list: String,
    /// Only these types; empty means all.
    pub types: Vec<String>,
    /// Only what is listed on these exchanges; empty means all.
    pub exchanges: Vec<String>,
    /// Only what was active on this day.
    pub as_of: Option<Date>,
    /// The windows, as they were given.
    pub windows: String,
    /// When its tasks were last planned, UTC ms. None if they never were.
    pub planned_at_ms: Option<i64>,
}

impl ManifestWriter {
    /// Records a subscription, and saves the spec that it comes from. An existing subscription is planned again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn add_subscription(
        &mut self,
        order: &Subscription,
        spec: Option<&SpecText>,
    ) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.add_order(order)?;
        change.save_new_spec(spec)?;
        change.commit()
    }

    /// Records a subscription of another manifest. One that is not planned is planned again.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn restore_subscription(
        &mut self,
        order: &Subscription,
        is_planned: bool,
    ) -> Result<(), ManifestError> {
        let change = self.begin()?;
        change.take_over_order(order, is_planned)?;
        change.commit()
    }

    /// The subscriptions, in the order in which they were recorded.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn subscriptions(&self) -> Result<Vec<Subscription>, ManifestError> {
        all(&self.connection)
    }

    /// Records that the tasks of all subscriptions exist.
    ///
    /// # Errors
    /// If the manifest cannot be written.
    pub fn subscriptions_planned(&mut self) -> Result<(), ManifestError> {
        let change = self.begin()?;
        let update = "UPDATE orders SET planned_at_ms = ? WHERE planned_at_ms IS NULL";
        change.execute(update, [change.now_ms])?;
        change.commit()
    }
}

impl Transaction<'_> {
    fn add_order(&self, order: &Subscription) -> Result<(), ManifestError> {
        let (types, exchanges) = (json(&order.types), json(&order.exchanges));
        let as_of = order.as_of.map(|day| day.to_string());
        // A UNIQUE constraint treats two absent days as different.
        let update = "UPDATE orders SET planned_at_ms = NULL
             WHERE list = ? AND types = ? AND exchanges = ? AND as_of IS ? AND windows = ?";
        let (list, windows) = (&order.list, &order.windows);
        if self.execute(update, params![list, types, exchanges, as_of, windows])? == 0 {
            let insert = "INSERT INTO orders (list, types, exchanges, as_of, windows, asked_at_ms)
                 VALUES (?, ?, ?, ?, ?, ?)";
            self.execute(insert, params![list, types, exchanges, as_of, windows, self.now_ms])?;
        }
        Ok(())
    }

    /// Records a subscription that the manifest does not have.
    pub(super) fn take_over_order(
        &self,
        order: &Subscription,
        is_planned: bool,
    ) -> Result<(), ManifestError> {
        self.add_order(order)?;
        if is_planned {
            let update = "UPDATE orders SET planned_at_ms = ? WHERE id = (SELECT max(id) FROM orders)";
            self.execute(update, [self.now_ms])?;
        }
        Ok(())
    }
}

impl ManifestReader {
    /// The subscriptions, in the order in which they were recorded.
    ///
    /// # Errors
    /// If the manifest cannot be read, or has an invalid row.
    pub fn orders(&self) -> Result<Vec<Subscription>, ManifestError> {
        all(self.connection())
    }
}

fn json(codes: &[String]) -> String {
    serde_json::Value::from(codes.to_vec()).to_string()
}

pub(super) fn all(connection: &Connection) -> Result<Vec<Subscription>, ManifestError> {
    let mut select = connection
        .prepare("SELECT list, types, exchanges, as_of, windows, planned_at_ms FROM orders ORDER BY id")?;
    let mut found = select.query([])?;
    let mut orders = Vec::new();
    let codes = |text: String| {
        serde_json::from_str(&text)
            .map_err(|_| ManifestError::Corrupt(format!("a subscription's codes: {text}")))
    };
    while let Some(row) = found.next()? {
        let as_of: Option<String> = row.get(3)?;
        let wrong = |_| ManifestError::Corrupt("an order's as_of".to_owned());
        orders.push(Subscription {
            list: row.get(0)?,
            types: codes(row.get(1)?)?,
            exchanges: codes(row.get(2)?)?,
            as_of: as_of.map(|day| day.parse().map_err(wrong)).transpose()?,
            windows: row.get(4)?,
            planned_at_ms: row.get(5)?,
        });
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::data_dir::DataDir;

    #[test]
    fn an_order_is_there_once_and_is_planned_anew_when_it_is_given_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = ManifestWriter::open(&DataDir::new(dir.path()), Clock::system()).unwrap();
        let order = Subscription {
            list: "us-stocks".to_owned(),
            types: vec!["CS".to_owned()],
            windows: "2016".to_owned(),
            ..Subscription::default()
        };
        writer.add_subscription(&order, None).unwrap();
        writer.subscriptions_planned().unwrap();
        assert!(writer.subscriptions().unwrap()[0].planned_at_ms.is_some());
        let spec = SpecText { path: "us.toml".to_owned(), text: "windows = []".to_owned() };
        writer.add_subscription(&order, Some(&spec)).unwrap();
        let other = Subscription { as_of: Some(jiff::civil::date(2016, 1, 4)), ..order.clone() };
        writer.add_subscription(&other, None).unwrap();
        let reader = DataDir::new(dir.path()).open_read().unwrap();
        assert_eq!(reader.orders().unwrap(), [order, other]);
        assert_eq!(reader.spec().unwrap().unwrap().spec, spec);
    }
}
